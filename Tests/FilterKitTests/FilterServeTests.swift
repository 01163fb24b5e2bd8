import FilterKit
import Foundation
import Glibc
import MailModel
import SpoolFormat
import Synchronization
import Testing

@Suite("Content filters in Swift", .timeLimit(.minutes(2))) struct FilterServeTests {
    private struct Trouble: Error, CustomStringConvertible { let description = "out of\norder" }

    /// Serves a peer on a thread of its own.
    private func serve(
        _ peer: FilterPeer, credits: Int = 1, log: Int32 = -1,
        _ judge: @escaping @Sendable (FilterJob) throws -> FilterAnswer
    ) -> DispatchGroup {
        let group = DispatchGroup()
        let end = peer.theirs
        group.enter()
        Thread {
            FilterProgram.serve(input: end, output: end, log: log, credits: credits, judge: judge)
            group.leave()
        }.start()
        return group
    }

    @Test("a filter asks, is given a path, answers, and asks again until there is no more")
    func dialogue() throws {
        let folder = try FilterFolder()
        let peer = try FilterPeer()
        let group = serve(peer) { job in
            FilterAnswer(
                .refuse(because: "\(job.id) \(job.envelope.sender ?? "") \(job.client?.hello ?? "")"),
                edits: [.tag("x")])
        }
        for _ in 0..<3 {
            let path = try folder.message()
            #expect(peer.line() == "#hungry")
            peer.send(path)
            let id = URL(fileURLWithPath: path).lastPathComponent
            #expect(peer.lines(2) == ["tag x", "-1 550 5.7.1 \(id) alice@example.test helo.test"])
        }
        #expect(peer.line() == "#hungry")
        peer.endInput()
        #expect(group.wait(timeout: .now() + 20) == .success)
    }

    @Test("a filter with credits works on as many messages at once, and says which one it speaks of")
    func credits() throws {
        let folder = try FilterFolder()
        let peer = try FilterPeer()
        let gate = DispatchSemaphore(value: 0)
        let running = Atomic(0)
        let group = serve(peer, credits: 3) { _ in
            running.add(1, ordering: .relaxed)
            gate.wait()
            return .accept
        }
        #expect(peer.lines(3) == ["#hungry", "#hungry", "#hungry"])
        let paths = try (0..<3).map { _ in try folder.message() }
        for path in paths { peer.send(path) }
        let end = Date() + 20
        while running.load(ordering: .relaxed) < 3, Date() < end { usleep(1000) }
        #expect(running.load(ordering: .relaxed) == 3)
        for _ in paths { gate.signal() }
        let lines = peer.lines(6)
        #expect(lines.filter { $0 != "#hungry" }.sorted() == paths.map { "\($0) 0" })
        peer.endInput()
        #expect(group.wait(timeout: .now() + 20) == .success)
    }

    @Test(
        "without an answer a filter with one message is hungry again, with more it says what is no result",
        arguments: [0, 1, 2, 3], [1, 2])
    func noAnswer(row: Int, credits: Int) throws {
        let folder = try FilterFolder()
        let peer = try FilterPeer()
        let log = open("\(folder.path)/log", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(log) }
        let group = serve(peer, credits: credits, log: log) { job in
            if job.envelope.sender == nil { return FilterAnswer(.accept(), edits: [.tag("not a tag")]) }
            throw Trouble()
        }
        let paths = [
            try folder.message(), "\(folder.path)/missing", folder.path,
            try folder.message(FilterFolder.envelope(sender: nil)),
        ]
        for _ in 0..<credits { #expect(peer.line() == "#hungry") }
        peer.send(paths[row])
        let id = URL(fileURLWithPath: paths[row]).lastPathComponent
        let start = credits == 1 ? "# \(id): " : "\(paths[row]) # "
        let line = try #require(peer.line())
        #expect(line.hasPrefix("\(start)no answer: "))
        if credits > 1 { #expect(peer.line() == "\(paths[row]) #none") }
        #expect(peer.line() == "#hungry")
        peer.endInput()
        #expect(group.wait(timeout: .now() + 20) == .success)
        let logged = try String(contentsOfFile: "\(folder.path)/log", encoding: .utf8)
        #expect(logged == "\(id): \(line.dropFirst(start.count))\n")
    }

    @Test("an envelope of any size is read whole, the header up to its limit, the content in parts")
    func large() throws {
        let folder = try FilterFolder()
        let recipients = (0..<5000).map { "recipient-number-\($0)@a-domain-with-a-long-name.example.org" }
        let fields = (0..<4000).map { "X-\($0): \(String(repeating: "v", count: 60))\r\n" }.joined()
        let body = String(repeating: "0123456789abcdef\r\n", count: 10_000)
        let path = try folder.message(FilterFolder.envelope(recipients: recipients), header: fields, body: body)
        let job = try FilterJob(path: path)
        #expect(job.envelope.recipients.map(\.address) == recipients)
        let header = try #require(try job.content.header())
        #expect(header.fields.count == 4000)
        #expect(header.bodyStart == fields.utf8.count + 2)
        #expect(try job.content.header(limit: 100_000) == nil)
        var whole: [UInt8] = []
        while true {
            let part = try job.content.octets(from: header.bodyStart + whole.count, maximum: 50_000)
            if part.isEmpty { break }
            whole += part
        }
        #expect(whole == Array(body.utf8))
        #expect(try job.content.octets(from: job.content.count + 5, maximum: 10).isEmpty)
    }

    @Test("the end of a header is found wherever a read ends", arguments: (16 << 10) - 12...(16 << 10) + 12)
    func headerEnd(length: Int) throws {
        let folder = try FilterFolder()
        let filler = "A: " + String(repeating: "b", count: length - 20) + "\r\n"
        let path = try folder.message(header: filler + "Last: 1\r\n", body: "not: a field\r\n")
        let header = try #require(try FilterJob(path: path).content.header())
        #expect(header.fields.map(\.name) == ["A", "Last"])
    }

    @Test("the example refuses, freezes and marks")
    func example() throws {
        let folder = try FilterFolder()
        let process = try FilterProcess(FilterProcess.program("filter-example"), log: "\(folder.path)/log")
        #expect(process.peer.lines(2) == ["#hungry", "#hungry"])
        let padding = String(repeating: "a", count: 65_500)
        let rows: [(String, [String])] = [
            (try folder.message(), ["+header X-Example: looked at, from 192.0.2.1", "tag example=clean", "0"]),
            (
                try folder.message(header: "Subject: x\r\n"),
                ["-1 550 5.7.1 a message has one From field (RFC 5322 section 3.6)"]
            ),
            (
                try folder.message(body: padding + "X-EXAMPLE-FORBIDDEN-WORD"),
                ["-1 550 5.7.1 it has the forbidden word"]
            ),
        ]
        for (path, lines) in rows {
            process.peer.send(path)
            #expect(process.peer.lines(lines.count) == lines.map { "\(path) \($0)" })
            #expect(process.peer.line() == "#hungry")
        }
        process.peer.endInput()
        #expect(process.wait() == 0)
        #expect(process.output == "")
    }
}
