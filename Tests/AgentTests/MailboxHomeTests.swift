import AgentKit
import AgentProtocol
import ChildProcesses
import Glibc
import ProgramKit
import SpoolFormat
import Synchronization
import Telemetry
import Testing

@testable import MailboxAgent

/// A file system that never answers: nobody reads what the kernel asks of it.
final class DeadFileSystem {
    private let path: String
    private var device: Int32

    /// Whether there can be one here.
    static let isPossible: Bool = {
        var template = Array("/tmp/dead.XXXXXX".utf8CString)
        guard template.withUnsafeMutableBufferPointer({ mkdtemp($0.baseAddress!) }) != nil else { return false }
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { rmdir(path) }
        return DeadFileSystem(path) != nil
    }()

    init?(_ path: String) {
        self.path = path
        device = open("/dev/fuse", O_RDWR | O_CLOEXEC)
        guard device >= 0 else { return nil }
        let options = "fd=\(device),rootmode=40000,user_id=0,group_id=0,allow_other"
        guard mount("dead", path, "fuse", 0, options) == 0 else {
            close(device)
            device = -1
            return nil
        }
    }

    /// Whoever waits for it is told that it is gone, and what was there before is there again.
    func end() {
        guard device >= 0 else { return }
        close(device)
        device = -1
        umount2(path, Int32(MNT_DETACH))
    }

    deinit { end() }
}

@Suite("Homes that do not answer", .serialized, .enabled(if: geteuid() == 0, "needs uids of its own"))
struct MailboxHomeTests {
    private static let identity = ChildRequest.Identity(uid: 4242, gid: 4242)

    private static func gate(
        places: Int = 2, entry: Int = 300, patience: Int = 800, longest: Int = 60_000, stuck: Int = 200,
        log: EventLog? = nil
    ) -> DeliveryGate {
        var limits = DeliveryGate.Limits()
        limits.places = places
        limits.entry = .milliseconds(entry)
        limits.patience = .milliseconds(patience)
        limits.longest = .milliseconds(longest)
        limits.stuck = stuck
        return DeliveryGate(limits, log: log)
    }

    private static func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
        let deadline = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < deadline {
            if try condition() { return true }
            usleep(5000)
        }
        return try condition()
    }

    @Test(
        "the mail of others is delivered, theirs is deferred with 4.3.0, and delivered once when they answer",
        .enabled(if: DeadFileSystem.isPossible, "needs /dev/fuse and mount(2)"), arguments: ["maildir", "mbox"])
    func deadHome(store: String) throws {
        let fixture = try ForwardFixture()
        try #require(chown(fixture.home("bob"), 4243, 4243) == 0)
        let file = try #require(DeadFileSystem(fixture.home("alice")))
        defer { file.end() }
        var settings = try fixture.settings(mailbox: store == "mbox" ? "mbox:%h/mbox" : "maildir:%h/Maildir")
        let bob = SystemAccount(name: "bob", uid: 4243, gid: 4243, home: fixture.home("bob"))
        settings.accounts = .list(["alice": fixture.account("alice"), "bob": bob])
        let path = "\(fixture.base.root)/gate.log"
        let log = try EventLog(program: "mailbox", destination: .file(path))
        let agent = MailboxTransportAgent(settings, gate: Self.gate(entry: 1500, patience: 4000, log: log))
        func run(_ users: [String]) throws -> [String: [AgentReport]] {
            let ids = try users.map { try fixture.base.spool.add([.from("s@a.example", [("local", "-", $0)])]).id }
            let lines = ids.map { "\($0)\t-\n" }.joined()
            var reports: [String: [AgentReport]] = [:]
            for case .report(let report) in try fixture.base.spool.run(agent, channel: "local", jobs: 4, input: lines) {
                let index = try #require(ids.firstIndex(of: report.file))
                reports[users[index], default: []].append(report)
            }
            return reports
        }
        let reports = try run((0..<24).map { $0 < 6 || $0 % 2 == 0 ? "alice" : "bob" })
        // No more threads than she has places, whatever the number of her messages.
        let held = fixture.base.read("gate.log").ranges(of: "home-unresponsive").count
        #expect((1...2).contains(held), "\(held)")
        #expect(reports["bob"]?.map(\.result) == Array(repeating: .ok, count: 9))
        let alices = try #require(reports["alice"])
        #expect(alices.count == 15)
        for report in alices {
            #expect(report.result == .deferred && report.notary?.status == "4.3.0")
            #expect(report.message.contains("home does not answer"), "\(report.message)")
        }
        file.end()
        #expect(try Self.eventually { try run(["alice"])["alice"]?.map(\.result) == [.ok] })
        let boxes = store == "mbox" ? [fixture.base.read("home/alice/mbox")] : fixture.mail()
        #expect(boxes.count == 1 && boxes[0].ranges(of: "Subject: x\n").count == 1)
    }

    @Test("work that was left to itself learns that it came too late, and then its user's mail goes on")
    func late() throws {
        let gate = Self.gate(patience: 1000)
        let answer = Semaphore()
        let late = Mutex<Bool?>(nil)
        #expect(throws: DeliveryProblem.self) {
            try gate.files(of: "alice", as: Self.identity) { (passage) throws(DeliveryProblem) in
                answer.wait()
                do throws(DeliveryProblem) {
                    try passage.check()
                    late.withLock { $0 = false }
                } catch {
                    late.withLock { $0 = true }
                }
            }
        }
        // Without a thread, though there is a place.
        do throws(DeliveryProblem) {
            try gate.files(of: "alice", as: Self.identity) { _ in Issue.record("begun") }
            Issue.record("not deferred")
        } catch {
            #expect(error.result.text.contains("home does not answer"), "\(error.result.text)")
        }
        try gate.files(of: "bob", as: ChildRequest.Identity(uid: 4243, gid: 4243)) { _ in }
        answer.signal()
        #expect(Self.eventually { (try? gate.files(of: "alice", as: Self.identity) { _ in }) != nil })
        #expect(late.withLock { $0 } == true)
    }

    @Test("with too many left to themselves nothing new is begun, until one has ended")
    func tooMany() throws {
        let gate = Self.gate(patience: 50, stuck: 3)
        let answer = Semaphore()
        for uid in uid_t(5000)..<5003 {
            #expect(throws: DeliveryProblem.self) {
                try gate.files(of: "user\(uid)", as: ChildRequest.Identity(uid: uid, gid: 5000)) { _ in answer.wait() }
            }
        }
        let other = ChildRequest.Identity(uid: 5009, gid: 5000)
        do throws(DeliveryProblem) {
            try gate.files(of: "other", as: other) { _ in }
            Issue.record("begun")
        } catch {
            #expect(error.result.text.contains("home directories do not answer"))
        }
        answer.signal()
        #expect(Self.eventually { (try? gate.files(of: "other", as: other) { _ in }) != nil })
        for _ in 0..<2 { answer.signal() }
    }

    @Test("what is slow and comes further is waited for, and does not keep others of its account away")
    func slow() throws {
        let gate = Self.gate(entry: 1000, patience: 1500)
        let isOld = Semaphore()
        let wasLeft = Atomic(true)
        let thread = try TestThread {
            try? gate.files(of: "alice", as: Self.identity) { passage in
                let begun = ContinuousClock.now
                for stage in [1200, 2000] {
                    while ContinuousClock.now - begun < .milliseconds(stage) {
                        passage.advance()
                        usleep(1000)
                    }
                    if stage == 1200 { isOld.signal() }
                }
                wasLeft.store(passage.isClosed, ordering: .sequentiallyConsistent)
            }
        }
        isOld.wait()
        #expect(throws: Never.self) { try gate.files(of: "alice", as: Self.identity) { _ in } }
        thread.join()
        let left = wasLeft.load(ordering: .sequentiallyConsistent)
        #expect(!left)
    }

    @Test("what comes further for ever is left to itself in the end")
    func endless() throws {
        let gate = Self.gate(longest: 100)
        let isLeft = Semaphore()
        #expect(throws: DeliveryProblem.self) {
            try gate.files(of: "alice", as: Self.identity) { passage in
                while !passage.isClosed {
                    passage.advance()
                    usleep(1000)
                }
                isLeft.signal()
            }
        }
        isLeft.wait()
        #expect(Self.eventually { (try? gate.files(of: "alice", as: Self.identity) { _ in }) != nil })
    }

    @Test("accounts that share a uid have places of their own, and are not held up by each other's files")
    func sharedUID() throws {
        let gate = Self.gate(places: 1, patience: 1000)
        let answer = Semaphore()
        #expect(throws: DeliveryProblem.self) {
            try gate.files(of: "alice", as: Self.identity) { _ in answer.wait() }
        }
        #expect(throws: Never.self) { try gate.files(of: "bob", as: Self.identity) { _ in } }
        do throws(DeliveryProblem) {
            try gate.files(of: "alice", as: Self.identity) { _ in }
            Issue.record("begun")
        } catch {
            #expect(error.result.text.contains("files of alice"))
        }
        answer.signal()
        #expect(Self.eventually { (try? gate.files(of: "alice", as: Self.identity) { _ in }) != nil })
    }

    @Test("work that ends while it is about to be left to itself marks no other that began since")
    func numbers() throws {
        var places = DeliveryPlaces(DeliveryPlaces.Limits())
        let now = ContinuousClock.now
        let first = places.begin("alice", Passage(), now)
        places.end("alice", first)
        let second = places.begin("alice", Passage(), now)
        #expect(places.leaveToItself("alice", first, now) == nil)
        #expect(places.stuck == 0 && places.obstacle("alice", now) == nil)
        #expect(places.leaveToItself("alice", second, now) != nil)
        #expect(places.leaveToItself("alice", second, now) == nil)
        #expect(places.stuck == 1 && places.obstacle("alice", now) != nil && places.obstacle("bob", now) == nil)
        places.end("alice", second)
        #expect(places.stuck == 0 && places.obstacle("alice", now) == nil)
    }

    @Test("programs of one user take no more than his places; their time is no reason to leave his files alone")
    func programs() throws {
        let gate = Self.gate(places: 1, entry: 50)
        let begun = Semaphore()
        let answer = Semaphore()
        let thread = try TestThread {
            _ = try? gate.program(of: "alice", as: Self.identity) { () throws(DeliveryProblem) in
                begun.signal()
                answer.wait()
                return LocalDelivery.delivered("x")
            }
        }
        begun.wait()
        do throws(DeliveryProblem) {
            _ = try gate.program(of: "alice", as: Self.identity) { () throws(DeliveryProblem) in
                LocalDelivery.delivered("y")
            }
            Issue.record("begun")
        } catch {
            #expect(error.result.status == "4.3.0" && error.result.text.contains("take their time"))
        }
        answer.signal()
        thread.join()
        let result = try gate.program(of: "alice", as: Self.identity) { () throws(DeliveryProblem) in
            LocalDelivery.delivered("y")
        }
        #expect(result.text == "y")
    }

    @Test("one at a time at one path, whoever it is")
    func paths() throws {
        let gate = Self.gate(places: 8, entry: 10_000)
        let inside = Atomic(0)
        let most = Atomic(0)
        let threads = try (0..<8).map { number in
            try TestThread {
                let identity = number % 2 == 0 ? Self.identity : nil
                try? gate.files(of: "alice", as: identity, path: "/x") { _ in
                    let now = inside.add(1, ordering: .sequentiallyConsistent).newValue
                    most.max(now, ordering: .sequentiallyConsistent)
                    usleep(2000)
                    inside.subtract(1, ordering: .sequentiallyConsistent)
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(most.load(ordering: .sequentiallyConsistent) == 1)
    }
}

/// sem_t as an object.
private final class Semaphore: @unchecked Sendable {
    // Sound: a semaphore is made for threads, and it does not move.
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    init() { sem_init(semaphore, 0, 0) }
    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }
    func wait() { while sem_wait(semaphore) != 0 {} }
    func signal() { sem_post(semaphore) }
}

/// A thread of a test, beside the one that delivers.
final class TestThread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    private var thread = pthread_t()

    init(_ run: @escaping @Sendable () -> Void) throws {
        let body = Unmanaged.passRetained(Body(run))
        let code = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, body.toOpaque())
        try #require(code == 0)
    }

    func join() { pthread_join(thread, nil) }
}
