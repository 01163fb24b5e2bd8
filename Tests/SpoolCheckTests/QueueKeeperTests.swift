import ChildProcesses
import Configuration
import Glibc
import Postoffice
import SpoolCheck
import SpoolFormat
import Synchronization
import Telemetry
import Testing

@Suite("The hourly check") struct QueueKeeperTests {
    private func log(of spool: SpoolScratch, _ keeping: HouseKeeping = HouseKeeping()) throws -> String {
        let path = spool.path("public/log")
        let log = try EventLog(program: "scheduler", destination: .file(path))
        QueueKeeper(spool.postoffice, keeping, hostName: "mx.example.org", log: log).run(SpoolScratch.options)
        let text = String(decoding: try octets(path), as: UTF8.self)
        unlink(path)
        return text
    }

    private func octets(_ path: String) throws -> [UInt8] {
        let file = try #require(fopen(path, "r"))
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        return Array(buffer[..<fread(&buffer, 1, buffer.count, file)])
    }

    @Test("one line says that all is in order")
    func inOrder() throws {
        let spool = try SpoolScratch()
        try spool.routed()
        let text = try log(of: spool)
        #expect(text.contains("notice queue-checked files=3 strays=0 open=0 router=down scheduler=down"))
        #expect(!text.contains("stray file"))
    }

    @Test("what is set aside is in the log, and the postmaster gets one report of all of it")
    func report() throws {
        let spool = try SpoolScratch()
        let one = try spool.routed(recipients: 2)
        let two = try spool.routed(recipients: 2)
        for id in [one, two] { unlink(spool.path("queue/\(id)")) }
        let text = try log(of: spool)
        #expect(text.contains("error stray file=transport/\(one) problem=no-message-file"))
        #expect(text.contains("outcome=set-aside action=\"moved to postman/\(two):control\""))
        #expect(text.contains("warning queue-checked"))
        let reports = spool.names(.router)
        try #require(reports.count == 1)
        let octets = try octets(spool.path("router/\(reports[0])"))
        let parsed = try MessageEnvelope.parse(octets)
        #expect(parsed.envelope.recipients.map(\.address) == ["postmaster"] && parsed.envelope.isErrorMessage)
        let content = String(decoding: octets[parsed.headerStart...], as: UTF8.self)
        #expect(content.contains("Subject: 2 files of the queue set aside\r\n"))
        #expect(content.contains("transport/\(one): no-message-file\r\n"))
        #expect(parsed.envelope.isWhole(headerStart: parsed.headerStart, fileSize: octets.count))
        #expect(parsed.envelope.traits?.size == octets.count - parsed.headerStart)
    }

    @Test("nobody is told of what could be put in order")
    func quiet() throws {
        let spool = try SpoolScratch()
        let id = try spool.routed()
        unlink(spool.path("transport/\(id)"))
        #expect(try log(of: spool).contains("warning stray file=queue/\(id) problem=no-control-file"))
        #expect(spool.names(.router) == ["\(id)"])
    }

    @Test("a strange name in a report is one line of plain text")
    func strangeNames() throws {
        let spool = try SpoolScratch()
        try spool.write("queue/a\r\nBcc: x\u{1b}[2J", [0x78])
        var options = SpoolScratch.options
        options.strangeAge = -1
        var moved: [SpoolFinding] = []
        _ = try SpoolCheck(spool.postoffice, options).run { moved.append($0) }
        let id = try #require(try StrayReport.send(moved, to: spool.postoffice, hostName: "mx.example.org", time: 1))
        let text = String(decoding: try octets(spool.path("router/\(id)")), as: UTF8.self)
        #expect(text.contains("queue/a??Bcc: x?[2J: strange-file\r\n"))
    }

    @Test("postman/ is counted, and emptied only where an age is set")
    func postman() throws {
        let spool = try SpoolScratch()
        try spool.write("postman/1:poison", [1, 2, 3])
        try spool.write("postman/2:control", [1])
        try #require(mkdir(spool.path("postman/old"), 0o700) == 0)
        let later = Int64(time(nil)) + 100 * 86_400
        let kept = try PostmanFolder.look(spool.postoffice, maximumAge: nil, now: later)
        #expect(kept.files == 2 && kept.octets == 4 && kept.removed == [] && kept.oldestAge >= 100 * 86_400)
        let young = try PostmanFolder.look(spool.postoffice, maximumAge: 86_400 * 101, now: later)
        #expect(young.removed == [])
        let aged = try PostmanFolder.look(spool.postoffice, maximumAge: 86_400 * 90, now: later)
        #expect(aged.removed.sorted() == ["1:poison", "2:control"] && aged.files == 0)
        #expect(spool.names(.postman) == ["old"])
    }
}

@Suite("Questions at a socket") struct QuestionSocketTests {
    /// Serves on a thread of its own until it is ended.
    private final class Server: Sendable {
        let isEnded = Atomic<Bool>(false)
        let hasEnded = Atomic<Bool>(false)

        init(_ path: String, lines: Int) {
            var thread = pthread_t()
            let context = Unmanaged.passRetained(Start(server: self, path: path, lines: lines))
            pthread_create(
                &thread, nil,
                { raw in
                    guard let raw else { return nil }
                    Unmanaged<Start>.fromOpaque(raw).takeRetainedValue().run()
                    return nil
                }, context.toOpaque())
            pthread_detach(thread)
        }

        private final class Start {
            let server: Server
            let path: String
            let lines: Int
            init(server: Server, path: String, lines: Int) {
                self.server = server
                self.path = path
                self.lines = lines
            }
            func run() {
                do throws(UnixSocket.Failure) {
                    let poller = Poller()
                    let socket = try QuestionSocket(path: path, owner: geteuid(), poller: poller) { [lines] question in
                        var left = lines
                        return {
                            left -= 1
                            return left >= 0 ? "\(question) \(left)\n" : nil
                        }
                    }
                    while !server.isEnded.load(ordering: .relaxed) {
                        poller.wait(milliseconds: 20)
                        socket.endIdle()
                    }
                } catch {
                    Issue.record("\(error)")
                }
                server.hasEnded.store(true, ordering: .relaxed)
            }
        }

        func end() {
            isEnded.store(true, ordering: .relaxed)
            while !hasEnded.load(ordering: .relaxed) { usleep(1000) }
        }
    }

    private func wait(for path: String) {
        let end = SteadyClock.milliseconds + 10_000
        while access(path, F_OK) != 0, SteadyClock.milliseconds < end { usleep(1000) }
    }

    @Test("an answer of any size comes whole, beside peers that neither ask nor read")
    func answers() throws {
        let spool = try SpoolScratch()
        let path = spool.path(".router.queue")
        let server = Server(path, lines: 100_000)
        defer { server.end() }
        wait(for: path)
        // As many as there is room for, less one.
        let silent = try (0..<QuestionSocket.maximumClients - 1).map { _ in try RawPeer(path) }
        silent[0].send("audit\n")
        silent[1].send(String(repeating: "x", count: 2000))
        var count = 0
        var last: ArraySlice<UInt8> = []
        try UnixDialogue.ask(path, "audit\n", milliseconds: 30_000) { line in
            count += 1
            last = line
        }
        #expect(count == 100_000 && String(decoding: last, as: UTF8.self) == "audit 0")
        #expect(silent[1].isClosed(within: 10_000), "a question without an end is none")
    }

    @Test("a server that does not answer costs its time, and no more")
    func patience() throws {
        let spool = try SpoolScratch()
        let path = spool.path(".router.queue")
        let listener = try UnixSocket.listen(path)
        defer { close(listener) }
        let error = #expect(throws: UnixSocket.Failure.self) {
            try UnixDialogue.ask(path, "audit\n", milliseconds: 50) { _ in }
        }
        #expect(error?.code == ETIMEDOUT)
    }
}

/// A peer that does what it should not.
final class RawPeer {
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0)
    }

    deinit { close(descriptor) }

    func send(_ text: String) {
        let octets = Array(text.utf8)
        _ = Glibc.send(descriptor, octets, octets.count, Int32(MSG_NOSIGNAL))
    }

    func isClosed(within milliseconds: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        var octet: UInt8 = 0
        return poll(&entry, 1, milliseconds) > 0 && recv(descriptor, &octet, 1, 0) <= 0
    }
}
