import AgentProtocol
import Digests
import Glibc
import MailModel

@testable import Scheduler

/// A client of the scheduler's mailq service.
final class MailqPeer {
    private let descriptor: Int32
    private var buffer: [UInt8] = []

    /// On 127.0.0.1.
    init(port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var name = SocketName(.v4(0x7f00_0001), port: port)
        guard name.withAddress({ connect(descriptor, $0, $1) }) == 0 else { throw TestFailure("connect: \(errno)") }
        setPatience()
    }

    init(path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw TestFailure("connect: \(errno)") }
        setPatience()
    }

    deinit { close(descriptor) }

    private func setPatience() {
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    func send(_ text: String) {
        let octets = Array(text.utf8)
        _ = Glibc.send(descriptor, octets, octets.count, Int32(MSG_NOSIGNAL))
    }

    /// Without its LF; `nil` when the connection has ended.
    func line() throws -> String? {
        while true {
            if let end = buffer.firstIndex(of: 0x0a) {
                defer { buffer.removeFirst(end + 1) }
                return String(decoding: buffer[..<end], as: UTF8.self)
            }
            var chunk = [UInt8](repeating: 0, count: 65536)
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count < 0, errno == EAGAIN { throw TestFailure("no line within 20 s") }
            guard count > 0 else { return nil }
            buffer += chunk[..<count]
        }
    }

    func ask(_ command: String) throws -> String? {
        send(command + "\n")
        return try line()
    }

    /// The lines of a list, dots unstuffed.
    func list(_ command: String) throws -> [String] {
        let head = try ask(command)
        guard head == "+OK until LF.LF" else { throw TestFailure("\(command): \(head ?? "closed")") }
        var lines: [String] = []
        while let line = try line() {
            if line == "." { return lines }
            lines.append(line.hasPrefix(".") ? String(line.dropFirst()) : line)
        }
        throw TestFailure("\(command): closed within the list")
    }

    /// The answer to AUTH.
    func logIn(_ user: String, _ password: String) throws -> String? {
        guard try line() == "version zmailer 2.0", let challenge = try line() else { throw TestFailure("no challenge") }
        return try authenticate(user, password, challenge)
    }

    func authenticate(_ user: String, _ password: String, _ challenge: String) throws -> String? {
        let digest = Digest.md5(Array((challenge + password).utf8)) ?? []
        return try ask("AUTH \(user) \(MailqDigest.text(digest))")
    }

    /// A port on which nobody listens just now.
    static func freePort() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var name = SocketName(.v4(0x7f00_0001), port: 0)
        guard name.withAddress({ bind(descriptor, $0, $1) }) == 0 else { throw TestFailure("bind: \(errno)") }
        var found = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &found) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        guard result == 0 else { throw TestFailure("getsockname: \(errno)") }
        return UInt16(bigEndian: found.sin_port)
    }
}

extension TestScheduler {
    static let accounts = """
        # for tests
        node:secret:ETRN:[127.0.0.1]
        watch:seen:SNMP QQ TT:[127.0.0.0]/8
        root:all:ALL:[127.0.0.1]
        far:away:ALL:[192.0.2.1]
        socket:local:ETRN:

        """

    /// The clauses of these tests: `etrn/*` waits for ETRN.
    static func mailqConfiguration(_ socket: String, authFile: String) -> String {
        """
        PARAMauthfile = "\(authFile)"
        PARAMmailqsock = "\(socket)"
        */*  interval=1h maxthr=5 retries="1"
        etrn/*
            queueonly
            command="ok -c $channel"
        later/*
            maxring=7 overfeed=3
            command="later -c $channel"
        ok/*
            command="ok -c $channel"

        """
    }

    func writeAccounts(_ text: String = TestScheduler.accounts) throws -> String {
        try write(text, to: "share/scheduler.auth")
        chmod("\(root)/share/scheduler.auth", 0o600)
        return "\(root)/share/scheduler.auth"
    }

    /// Listens on a port of 127.0.0.1, which it returns.
    func startWithMailq() throws -> UInt16 {
        let port = try MailqPeer.freePort()
        try startAndWait(Self.mailqConfiguration("TCP:\(port)@127.0.0.1", authFile: writeAccounts()))
        try wait("the mailq port") { self.log.contains("notice mailq-listening socket=TCP:\(port)@[127.0.0.1]") }
        return port
    }
}
