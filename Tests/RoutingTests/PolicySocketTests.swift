import CPosix
import ChildProcesses
import Glibc
import MailModel
import Policy
import PolicyEngine
import Postoffice
import Testing

@testable import Router

/// A service and its askers in one thread, in turns.
private final class SocketFixture {
    let instance: RouterInstance
    let service: PolicyService
    private let signals = SignalSource([SIGUSR2])
    private let path: String
    private var lifeline: [Int32] = [-1, -1]

    init() throws {
        instance = try RouterInstance()
        path = "\(instance.postoffice.root)/.policy"
        service = try PolicyService(
            path: path, engine: try PolicyEngine(instance.configuration, writesState: true, log: instance.log),
            signals: signals, log: instance.log)
        try #require(cposix_socketpair(&lifeline) == 0)
        service.start(lifeline: lifeline[0])
    }

    deinit { for descriptor in lifeline where descriptor >= 0 { close(descriptor) } }

    func cutLifeline() {
        close(lifeline[1])
        lifeline[1] = -1
    }

    func connect() throws -> Int32 {
        let descriptor = cposix_unix_connect(path, Int32(SOCK_STREAM.rawValue), 1)
        try #require(descriptor >= 0)
        return descriptor
    }

    /// Gives the service turns until `isDone`, ten seconds at most.
    func turn(until isDone: () -> Bool) {
        let deadline = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < deadline {
            if isDone() { return }
            service.turn(atMost: 20)
        }
        Issue.record("not within ten seconds")
    }

    /// Turns until nothing has happened for a while.
    func settle() { for _ in 0..<10 { service.turn(atMost: 5) } }

    /// What the descriptor has to read now; `nil`: it is closed.
    func read(_ descriptor: Int32) -> [UInt8]? {
        var octets: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count == 0 { return octets.isEmpty ? nil : octets }
            if count < 0 { return errno == EAGAIN ? octets : nil }
            octets += buffer[..<count]
        }
    }

    func write(_ text: String, _ descriptor: Int32) -> Int { Glibc.write(descriptor, text, text.utf8.count) }
}

@Suite("Router: the policy service's socket")
struct PolicySocketTests {
    @Test("a thousand questions in one write are answered in few")
    func batch() throws {
        let fixture = try SocketFixture()
        let asker = try fixture.connect()
        defer { close(asker) }
        let text = (1...1000).map { "\($0)\tverify\tto=ghost\n" }.joined()
        #expect(fixture.write(text, asker) == text.utf8.count)
        var octets: [UInt8] = []
        fixture.turn {
            octets += fixture.read(asker) ?? []
            return octets.count { $0 == 0x0a } == 1000
        }
        let answers = Octets.split(octets[...], at: 0x0a).dropLast().compactMap { PolicyAnswer(octets: $0) }
        #expect(answers.map(\.number) == Array(1...1000))
        #expect(answers.allSatisfy { $0.reply?.code == 550 })
    }

    @Test("an asker that does not take its answers is not read from until it does, and loses none")
    func flowControl() throws {
        let fixture = try SocketFixture()
        let asker = try fixture.connect()
        defer { close(asker) }
        let lines = (1...20_000).map { "\($0)\tverify\tto=ghost-of-somebody-\($0)\n" }
        let octets = Array(lines.joined().utf8)
        var sent = 0
        var idle = 0
        while sent < octets.count, idle < 20 {
            let count = octets.withUnsafeBytes {
                send(asker, $0.baseAddress?.advanced(by: sent), octets.count - sent, Int32(MSG_NOSIGNAL))
            }
            idle = count > 0 ? 0 : idle + 1
            sent += max(0, count)
            fixture.service.turn(atMost: 1)
        }
        #expect(sent < octets.count, "the service stopped reading")
        var answers = 0
        fixture.turn {
            answers += (fixture.read(asker) ?? []).count { $0 == 0x0a }
            if sent < octets.count {
                sent += max(
                    0,
                    octets.withUnsafeBytes {
                        send(asker, $0.baseAddress?.advanced(by: sent), octets.count - sent, Int32(MSG_NOSIGNAL))
                    })
            }
            return answers == 20_000
        }
    }

    @Test("askers do not wait for each other, and one that goes takes its sessions along")
    func several() throws {
        let fixture = try SocketFixture()
        let first = try fixture.connect()
        let second = try fixture.connect()
        let connect = "settings\tsame-source=1\n1\tconnect\tsession=a\tclient=203.0.113.9\n"
        #expect(fixture.write(connect, first) > 0)
        var answer = PolicyAnswer(line: "")
        func ask(_ text: String, _ descriptor: Int32) {
            answer = nil
            #expect(fixture.write(text, descriptor) > 0)
            fixture.turn {
                if let octets = fixture.read(descriptor), !octets.isEmpty {
                    answer = PolicyAnswer(octets: octets.dropLast()[...])
                }
                return answer != nil
            }
        }
        fixture.turn { (fixture.read(first) ?? []).isEmpty == false }
        ask(connect, second)
        #expect(answer?.verdict == .refuse)
        close(first)
        fixture.settle()
        ask("2\tdisconnect\tsession=a\n", second)
        ask("3\tconnect\tsession=b\tclient=203.0.113.9\n", second)
        #expect(answer?.verdict == .accept)
        close(second)
    }

    @Test("who does not speak the protocol is dropped, with a log line, and nobody else")
    func garbage() throws {
        let fixture = try SocketFixture()
        let good = try fixture.connect()
        let bad = try fixture.connect()
        defer {
            close(good)
            close(bad)
        }
        #expect(fixture.write("GET / HTTP/1.1\r\n\r\n", bad) > 0)
        fixture.turn { fixture.read(bad) == nil }
        #expect(fixture.instance.logText.contains("asker-dropped"))
        #expect(fixture.write("1\tverify\tto=alice\n", good) > 0)
        fixture.turn { fixture.read(good)?.isEmpty == false }
    }

    @Test("it ends when its master does")
    func lifeline() throws {
        let fixture = try SocketFixture()
        fixture.settle()
        #expect(!fixture.service.isEnding)
        fixture.cutLifeline()
        fixture.turn { fixture.service.isEnding }
    }
}
