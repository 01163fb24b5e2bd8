import DeliveryStatus
import Glibc
import MailModel
import SpoolFormat
import Testing

/// Reports of pieces of hostile text, put together at random with a fixed seed.
@Suite("Whatever strangers say, a report can be read")
struct PropertyTests {
    private struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var value = state
            value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
            value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
            return value ^ (value >> 31)
        }
    }

    private static let pieces = [
        "550 5.1.1 no", "\r\n", "\n", "\r", "\r\n\r\n", "\u{0}", "\u{1b}]0;x\u{7}", "\u{1b}[2J", "\u{9b}31m", "\u{85}",
        "\u{2028}", "\u{202e}", "\u{200f}", "\u{feff}", "--7000000000000000002=_/report",
        "\r\n--7000000000000000002=_/report--\r\n",
        "\r\nX-Injected: yes", "Bcc: a@b", "=?utf-8?Q?=0D=0AX-Injected:_yes?=", "=?utf-8?B?////?=", "${list}",
        "${host}", "$$", "%", "\"",
        "<", ">", "(", ")", ";", ",", "@", ":", "\\", "\\x{A}", "+0D+0A", "\u{f6}", "\u{1f4a9}", "a", "xn--", " ", "\t",
        "From x", ".", "..", "rfc822;", "utf-8;", "smtp; ", "Final-Recipient: rfc822; x@y", "5.1.1", "2.0.0",
        String(repeating: "y", count: 990), String(repeating: "\u{e4}", count: 600),
        String(repeating: "a b ", count: 400),
    ]

    private static func text(_ random: inout Generator) -> String {
        (0..<Int.random(in: 0...6, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
    }

    private static func report(_ seed: UInt64) -> DeliveryReport {
        var random = Generator(state: seed)
        let actions: [Notary.Action] = [.failed, .delayed, .delivered, .relayed, .expanded]
        let recipients = (0...Int.random(in: 0...3, using: &random)).map { _ in
            DeliveryReport.Recipient(
                originalRecipient: Bool.random(using: &random) ? nil : text(&random), finalRecipient: text(&random),
                action: actions.randomElement(using: &random) ?? .failed, status: text(&random),
                diagnostic: text(&random), remoteMTA: text(&random), text: text(&random), lastAttempt: 1,
                willRetryUntil: 2)
        }
        var report = sampleReport(recipients)
        report.to =
            Bool.random(using: &random) ? ["alice@example.test"] : [text(&random), "\(text(&random))@example.test"]
        report.form = ReportForm(
            parsing:
                "HDR X-Form: \(text(&random))\nSUB \(text(&random))\nADR \(text(&random))\nLBL said \(text(&random))\n\(text(&random))"
        )
        report.subjectPrefix = Bool.random(using: &random) ? "" : "Double-fault: "
        report.original.envelopeID = text(&random)
        report.original.header = Array("Subject: \(text(&random))\r\nMessage-ID: <\(text(&random))>\r\n".utf8)
        report.original.body = Bool.random(using: &random) ? nil : Array("\(text(&random))\r\n".utf8)
        report.original.format = Bool.random(using: &random) ? .crlf : .lf
        report.original.isInternationalized = Bool.random(using: &random)
        report.original.receivedFrom = ReceivedFrom(
            name: text(&random), address: IPAddress("192.0.2.9"), hello: text(&random))
        report.original.releaseRequest = text(&random)
        return report
    }

    @Test("Python's parser finds three parts, the right fields and no defect")
    func parsed() throws {
        var template = Array("/tmp/dsn-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        var paths: [String] = []
        defer {
            for path in paths { unlink(path) }
            rmdir(directory)
        }
        for seed in UInt64(1)...300 {
            let path = "\(directory)/\(seed)"
            // The returned text is the sender's own; only what is ours has to keep to its lines.
            try TestFiles.write(normalized(Self.report(seed).composed().content), to: path)
            paths.append(path)
        }
        let mistakes = try TestFiles.mistakes(paths)
        #expect(mistakes.isEmpty, "\(mistakes)")
    }

    /// A bare CR or LF of the returned message is none of ours.
    private func normalized(_ content: [UInt8]) -> [UInt8] {
        let lines = PropertyTests.split(content)
        return lines.flatMap { $0 + [0x0d, 0x0a] }
    }

    private static func split(_ content: [UInt8]) -> [[UInt8]] {
        var lines: [[UInt8]] = [[]]
        for octet in content where octet != 0x0d {
            if octet == 0x0a { lines.append([]) } else { lines[lines.count - 1].append(octet) }
        }
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }

    @Test("its own parts have CRLF lines of at most 998 octets, and the boundary four times", arguments: 1...300)
    func lines(seed: Int) throws {
        let content = Self.report(UInt64(seed)).composed().content
        let all = Self.split(content)
        let field = try #require(all.first { String(decoding: $0, as: UTF8.self).hasPrefix("    boundary=\"") })
        let delimiter = "--\(String(decoding: field.dropFirst(14).dropLast(), as: UTF8.self))".utf8
        let delimiters = all.indices.filter { all[$0].starts(with: delimiter) }
        try #require(delimiters.count == 4)
        let ours = all[..<delimiters[2]]
        #expect(ours.allSatisfy { $0.count <= 998 })
        for line in ours where !line.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) { Issue.record("\(line)") }
        // With every CR in front of an LF, and no other.
        let prefix: [UInt8] = ours.flatMap { (line: [UInt8]) -> [UInt8] in line + [0x0d, 0x0a] }
        #expect(content.starts(with: prefix), "a bare CR or LF")
    }
}
