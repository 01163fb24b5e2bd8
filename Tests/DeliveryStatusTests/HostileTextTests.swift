import DeliveryStatus
import SpoolFormat
import Testing

@Suite("Texts of strangers cannot shape a report")
struct HostileTextTests {
    static let attacks = [
        "550 x\r\nBcc: victim@example.test", "550 x\n\nFinal-Recipient: rfc822; other@x", "a\u{0}b\u{7}c",
        "\u{2028}x\u{85}y",
        String(repeating: "x", count: 100_000), String(repeating: "x y ", count: 50_000),
        "--7000000000000000002=_/report", "\u{1b}]0;owned\u{7}\u{9b}31m", "abc\u{202e}gpj.exe\u{2066}x\u{200f}\u{feff}",
        String(repeating: "\u{fc}", count: 5000),
    ]

    @Test("no line is added, none is too long, wherever the text stands", arguments: attacks.indices)
    func attack(index: Int) {
        let value = Self.attacks[index]
        var failure = sampleFailure
        failure.text = value
        failure.diagnostic = value
        failure.remoteMTA = value
        failure.finalRecipient = value
        failure.originalRecipient = "rfc822;\(value)"
        failure.status = value
        var report = sampleReport([failure])
        report.original.envelopeID = value
        report.original.header = Array("Message-ID: \(value.prefix(2000))\r\n".utf8)
        let plain = lines(sampleReport().composed())
        let lines = lines(report.composed())
        #expect(lines.allSatisfy { $0.utf8.count <= 998 || $0.hasPrefix("Message-ID: ") })
        let statusFields = lines.drop { $0 != "Content-Type: message/delivery-status" }.prefix {
            $0 != "Content-Type: message/rfc822"
        }
        for name in ["Final-Recipient: ", "Action: ", "Status: ", "Final-Log-ID: "] {
            #expect(statusFields.count { $0.hasPrefix(name) } == 1)
        }
        #expect(statusFields.contains("Status: 5.0.0"))
        #expect(statusFields.allSatisfy { $0.utf8.allSatisfy { (0x20..<0x7f).contains($0) } })
        let ours = lines.prefix { $0 != "Content-Type: message/rfc822" }
        #expect(!ours.contains { $0.hasPrefix("Bcc:") })
        #expect(ours.count { $0 == "" } == plain.prefix { $0 != "Content-Type: message/rfc822" }.count { $0 == "" })
    }

    @Test("controls of terminals and of the writing direction are gone, in the text too", arguments: attacks)
    func visible(value: String) {
        var failure = sampleFailure
        failure.text = value
        failure.diagnostic = "smtp; \(value)"
        failure.remoteMTA = value
        failure.finalRecipient = "\(value)@x"
        var report = sampleReport([failure], body: nil)
        // As UTF-8 throughout, so that nothing hides in an encoding.
        report.to = ["ren\u{e9}@example.test"]
        report.form = ReportForm(parsing: "SUB ${recipients} ${subject}\nHDR X-Who: ${recipients}\n\n${recipients}\n")
        report.original.header = Array("Subject: \(value)\r\n".utf8)
        let content = text(report.composed().content)
        let ours = content.prefix(content.utf8.count).split(separator: "Content-Description: Header of").first ?? ""
        let forbidden: (Unicode.Scalar) -> Bool = { scalar in
            switch scalar.value {
            case 0x0d, 0x0a: false
            case 0..<0x20, 0x7f...0x9f, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069, 0xfeff: true
            default: false
            }
        }
        #expect(!ours.unicodeScalars.contains(where: forbidden))
    }

    @Test("the words of a server are lines of a quotation, ten at most")
    func words() {
        var failure = sampleFailure
        failure.diagnostic = ""
        failure.text = (1...20).map { "line \($0)" }.joined(separator: "\r")
        let all = lines(sampleReport([failure]).composed())
        #expect(all.filter { $0.hasPrefix("      > ") } == (1...10).map { "      > line \($0)" } + ["      > ..."])
    }

    @Test(
        "diagnostics keep their type and get one where it is missing",
        arguments: [
            ("smtp; 550 no", "smtp; 550 no"), ("X-Local; 500 no", "X-Local; 500 no"),
            ("550 no; really", "x-local; 550 no; really"),
            ("; no", "x-local; ; no"), ("no", "x-local; no"),
        ])
    func diagnostic(given: String, written: String) {
        var failure = sampleFailure
        failure.diagnostic = given
        #expect(lines(sampleReport([failure]).composed()).contains("Diagnostic-Code: \(written)"))
    }

    @Test(
        "a status that does not fit its action becomes the general one",
        arguments: [
            ("5.7.1", Notary.Action.failed, "5.7.1"), ("4.4.7", .failed, "4.4.7"), ("2.0.0", .failed, "5.0.0"),
            ("5.1.1", .delayed, "4.0.0"), ("4.2.2", .delayed, "4.2.2"), ("2.1.5", .relayed, "2.1.5"),
            ("x", .delivered, "2.0.0"),
        ])
    func status(given: String, action: Notary.Action, written: String) {
        var recipient = sampleFailure
        recipient.status = given
        recipient.action = action
        #expect(lines(sampleReport([recipient]).composed()).contains("Status: \(written)"))
    }

    @Test("a Message-ID that is none is not referred to", arguments: ["<>", "x", "<a b@c>", "<\u{fc}@c>", ""])
    func reference(value: String) {
        var report = sampleReport()
        report.original.header = Array("Message-ID: \(value)\r\n".utf8)
        #expect(!lines(report.composed()).contains { $0.hasPrefix("References:") || $0.hasPrefix("In-Reply-To:") })
    }
}
