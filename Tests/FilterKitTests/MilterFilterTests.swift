import FilterKit
import Foundation
import Glibc
import MailModel
import MilterAgent
import MilterProtocol
import SpoolFormat
import Testing

@Suite("A milter as a content filter", .timeLimit(.minutes(2))) struct MilterFilterTests {
    private func judge(
        _ path: String, _ folder: FilterFolder, timeout: Int = 20,
        answer: @escaping @Sendable (MilterPacket) -> [UInt8]?
    ) throws -> (answer: Result<FilterAnswer, any Error>, received: [MilterPacket]) {
        let milter = try FakeMilter(in: folder.path, answer: answer)
        defer { milter.stop() }
        var settings = MilterSettings(socket: .unix(milter.path))
        settings.timeout = timeout
        let filter = MilterFilter(settings, hostName: "host.test")
        let job = try FilterJob(path: path)
        let result = Result { try filter.judge(job) }
        if case .success = result {
            // The farewell is not waited for by the filter.
            let end = Date() + 20
            while let last = milter.received.last, last.command != UInt8(ascii: "Q"), Date() < end { usleep(1000) }
        }
        return (result, milter.received)
    }

    @Test("a milter's changes become edits; the topmost Received is not shown to it, and not counted")
    func changes() throws {
        let folder = try FilterFolder()
        let header =
            "Received-SPF: pass\r\n\(FilterFolder.header)Received: from them\r\n\tby them; then\r\nX-Old: 1\r\n"
        let path = try folder.message(header: header)
        let (answer, received) = try judge(path, folder) { packet in
            FakeMilter.answer(
                packet, steps: .leadingBlanks,
                [
                    "E": [
                        FakeMilter.texts("i", "DKIM-Signature", " a;\n\tb", index: 1),
                        FakeMilter.texts("h", "X-Last", "z"), FakeMilter.texts("m", "X-Old", "", index: 1),
                        FakeMilter.texts("m", "Received", "", index: 1),
                        FakeMilter.texts("m", "Subject", " new", index: 1),
                        FakeMilter.texts("+", "<eve@example.org>"), MilterPacket(UInt8(ascii: "c")),
                    ]
                ])
        }
        #expect(
            try answer.get()
                == FilterAnswer(
                    .accept(),
                    edits: [
                        .addField(name: "DKIM-Signature", body: " a;\n\tb", place: .top),
                        .addField(name: "Subject", body: " new", place: .top), .removeField(named: "X-Old", number: 1),
                        .removeField(named: "Received", number: 2), .removeField(named: "Subject", number: 1),
                        .addField(name: "X-Last", body: "z", place: .end), .rewriteTo("bob@example.org"),
                        .rewriteTo("eve@example.org"),
                    ]))
        let fields = received.filter { $0.command == UInt8(ascii: "L") }.map {
            String(decoding: $0.data.prefix { $0 != 0 }, as: UTF8.self)
        }
        #expect(fields == ["Received-SPF", "From", "Subject", "Received", "X-Old"])
        let body = received.filter { $0.command == UInt8(ascii: "B") }.flatMap(\.data)
        #expect(body == Array("Hello\r\n".utf8))
        #expect(received.last?.command == UInt8(ascii: "Q"))
    }

    @Test("bodies are told in packets of 65535 octets, those with LF as CRLF", arguments: [true, false])
    func body(isLF: Bool) throws {
        let folder = try FilterFolder()
        let body = String(repeating: "0123456789\r\n", count: 20_000)
        var envelope = FilterFolder.envelope()
        envelope.format = isLF ? .lf : .crlf
        let path = try folder.message(envelope, body: isLF ? body.replacingOccurrences(of: "\r\n", with: "\n") : body)
        let (answer, received) = try judge(path, folder) { FakeMilter.answer($0) }
        #expect(try answer.get() == .accept)
        let parts = received.filter { $0.command == UInt8(ascii: "B") }
        #expect(parts.allSatisfy { $0.data.count <= 65535 })
        #expect(String(decoding: parts.flatMap(\.data), as: UTF8.self) == body)
    }

    static let verdicts: [(MilterPacket, FilterVerdict)] = [
        (MilterPacket(UInt8(ascii: "a")), .accept()),
        (MilterPacket(UInt8(ascii: "r")), .refuse(Reply(550, EnhancedStatusCode(5, 7, 1), "Command rejected"))),
        (MilterPacket(UInt8(ascii: "d")), .refuse(Reply(250, EnhancedStatusCode(2, 0, 0), "accepted"))),
        (FakeMilter.texts("y", "554 5.7.1 no"), .refuse(Reply(554, EnhancedStatusCode(5, 7, 1), "no"))),
        (FakeMilter.texts("y", "421 4.7.0 busy"), .refuse(Reply(451, EnhancedStatusCode(4, 7, 0), "busy"))),
    ]

    @Test("a milter's verdict is the filter's", arguments: verdicts)
    func verdict(packet: MilterPacket, verdict: FilterVerdict) throws {
        let folder = try FilterFolder()
        let (answer, _) = try judge(try folder.message(), folder) { FakeMilter.answer($0, ["E": [packet]]) }
        #expect(try answer.get().verdict == verdict)
    }

    @Test("quarantine is the freezer, and the reason is for the log")
    func quarantine() throws {
        let folder = try FilterFolder()
        let (answer, _) = try judge(try folder.message(), folder) { packet in
            FakeMilter.answer(packet, ["E": [FakeMilter.texts("q", "odd"), MilterPacket(UInt8(ascii: "c"))]])
        }
        #expect(try answer.get().verdict == .freeze())
        #expect(try answer.get().remarks == ["the milter puts the message into quarantine: odd"])
    }

    static let broken: [(String, @Sendable (MilterPacket) -> [UInt8]?)] = [
        ("closed the connection during the negotiation", { _ in nil }),
        ("closed the connection at end of message", { $0.command == 0x45 ? nil : FakeMilter.answer($0) }),
        ("protocol error: a packet of", { _ in [0xff, 0xff, 0xff, 0xff, 1] }),
        ("protocol error: unknown response", { FakeMilter.answer($0, ["M": [MilterPacket(0x3f)]]) }),
        (
            "protocol error: response 'h' has no place at mail",
            { FakeMilter.answer($0, ["M": [FakeMilter.texts("h", "a", "b")]]) }
        ),
        ("no answer within 1 s at connect", { FakeMilter.answer($0, ["C": []]) }),
    ]

    @Test("a milter that is broken gives no answer", arguments: 0..<broken.count)
    func failures(row: Int) throws {
        let folder = try FilterFolder()
        let (answer, _) = try judge(try folder.message(), folder, timeout: 1, answer: Self.broken[row].1)
        guard case .failure(let problem) = answer else {
            Issue.record("there is an answer")
            return
        }
        #expect("\(problem)".contains(Self.broken[row].0), "\(problem)")
        #expect("\(problem)".hasPrefix("milter unix:/"))
    }

    @Test("a milter that is always at work is given up")
    func endless() throws {
        let folder = try FilterFolder()
        let progress = [MilterPacket](repeating: MilterPacket(UInt8(ascii: "p")), count: 100)
        let milter = try FakeMilter(in: folder.path) { FakeMilter.answer($0, ["E": progress]) }
        defer { milter.stop() }
        var settings = MilterSettings(socket: .unix(milter.path))
        settings.messageTimeout = 1
        let job = try FilterJob(path: try folder.message())
        #expect(throws: MilterProblem(socket: settings.socket, failure: .messageTimeout(.endOfMessage, seconds: 1))) {
            try MilterFilter(settings, hostName: "host.test").judge(job)
        }
    }

    @Test("a client that cannot be read is not taken for a local one", arguments: ["a (b", "a ([x])", nil])
    func client(text: String?) throws {
        let folder = try FilterFolder()
        let (answer, received) = try judge(try folder.message(FilterFolder.envelope(client: text)), folder) {
            FakeMilter.answer($0)
        }
        #expect(throws: MilterFailure.client(text)) { try answer.get() }
        #expect(received.isEmpty)
    }

    @Test("a header that a milter cannot be given is refused", arguments: [0, 1, 2])
    func header(row: Int) throws {
        let folder = try FilterFolder()
        let more = ["X: \0\r\n", "X: \(String(repeating: "x", count: 70_000))\r\n"]
        let large = String(repeating: "X: \(String(repeating: "x", count: 997))\r\n", count: 1100)
        let header = FilterFolder.header + (row < 2 ? more[row] : large)
        let (answer, received) = try judge(try folder.message(header: header), folder) { FakeMilter.answer($0) }
        guard case .refuse(let reply?) = try answer.get().verdict else {
            Issue.record("not refused")
            return
        }
        #expect(reply.code == (row == 0 ? 554 : 552))
        #expect(received.isEmpty)
    }

    @Test("the client, the queue id and the account are told as macros")
    func macros() throws {
        let folder = try FilterFolder()
        var envelope = FilterFolder.envelope()
        envelope.authenticatedUser = "alice"
        let path = try folder.message(envelope)
        let (_, received) = try judge(path, folder) { FakeMilter.answer($0) }
        let text = received.filter { $0.command == UInt8(ascii: "D") }.map {
            String(decoding: $0.data.map { $0 == 0 ? 0x7c : $0 }, as: UTF8.self)
        }
        #expect(
            text.first
                == "Cj|host.test|{daemon_name}|smtpserver|{client_addr}|192.0.2.1|{client_name}|mx.test|{client_port}|4711|"
                + "{client_resolve}|OK|_|mx.test [192.0.2.1]|")
        let id = URL(fileURLWithPath: path).lastPathComponent
        #expect(text.contains("Mi|\(id)|{auth_type}|AUTH|{auth_authen}|alice|{mail_addr}|alice@example.test|"))
    }
}
