import DeliveryStatus
import Glibc
import MailModel
import SpoolFormat
import Testing

/// One report of each kind, octet for octet as it stands in Golden/. `REGENERATE_GOLDEN=1 swift test --filter GoldenTests` writes the
/// files anew; read the difference before you commit it.
@Suite("Reports are those of Golden/, and Python's email package reads them without a defect")
struct GoldenTests {
    @Test("octet for octet", arguments: Golden.all)
    func octets(_ golden: Golden) throws {
        let path = "\(TestFiles.golden)/\(golden.name).eml"
        let composed = try golden.report().composed()
        if getenv("REGENERATE_GOLDEN") != nil { try TestFiles.write(composed.content, to: path) }
        let expected = try #require(TestFiles.read(path), "\(path) is missing")
        let lines = lines(composed)
        let wanted = text(expected).split(omittingEmptySubsequences: false) { $0 == "\r\n" }.map(String.init)
        for (index, line) in wanted.enumerated() where index >= lines.count || lines[index] != line {
            Issue.record("\(golden.name).eml:\(index + 1): is not '\(index < lines.count ? lines[index] : "")'")
            break
        }
        #expect(composed.content == expected)
    }

    @Test("Python's parser finds the parts and the fields, and no defect")
    func parsed() throws {
        let mistakes = try TestFiles.mistakes(Golden.all.map { "\(TestFiles.golden)/\($0.name).eml" })
        #expect(mistakes.isEmpty, "\(mistakes)")
    }

    @Test("no file is there that no test knows")
    func files() throws {
        let directory = try #require(opendir(TestFiles.golden))
        defer { closedir(directory) }
        var names: Set<String> = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(".eml") { names.insert(name) }
        }
        #expect(names == Set(Golden.all.map { "\($0.name).eml" }))
    }
}

/// A report with fixed ids and times, in the sample forms.
struct Golden: CustomTestStringConvertible, Sendable {
    let name: String
    let form: String
    var language: String?
    let recipients: [DeliveryReport.Recipient]
    var configure: @Sendable (inout DeliveryReport) -> Void = { _ in }

    var testDescription: String { name }

    func report() throws -> DeliveryReport {
        var report = sampleReport(recipients)
        report.form = try Self.form(form, language)
        report.original.receivedFrom = ReceivedFrom(
            name: "client.example.test", address: IPAddress("192.0.2.9"), port: 4711, hello: "laptop.example.test")
        report.original.envelopeID = "QQ+2B314159"
        configure(&report)
        return report
    }

    static func form(_ name: String, _ language: String?) throws -> ReportForm {
        func read(_ name: String, _ base: ReportForm?) throws -> ReportForm {
            let octets = try #require(TestFiles.read("\(TestFiles.forms)/\(name)"), "\(name)")
            let (form, mistakes) = ReportForm.read(text(octets), base: base)
            #expect(mistakes.isEmpty, "\(name): \(mistakes)")
            return form
        }
        guard let language else { return try read(name, nil) }
        return try read("\(name).\(language)", read("labels.\(language)", nil))
    }

    static let delayed = DeliveryReport.Recipient(
        originalRecipient: "rfc822;carol@slow.example", finalRecipient: "carol@slow.example", action: .delayed,
        status: "4.4.1", diagnostic: "x-local; 400 (connection timed out)", text: "connection timed out",
        lastAttempt: 1_795_238_700, willRetryUntil: 1_795_497_001)
    static let delivered = DeliveryReport.Recipient(
        originalRecipient: "rfc822;dave@example.test", finalRecipient: "dave@example.test", action: .delivered,
        status: "2.2.0", text: "delivered to the mailbox", lastAttempt: 1_795_237_802)
    static let relayed = DeliveryReport.Recipient(
        originalRecipient: "rfc822;erin@old.example", finalRecipient: "erin@old.example", action: .relayed,
        status: "2.0.0", diagnostic: "smtp; 250 2.0.0 queued as 4711", remoteMTA: "mx.old.example (198.51.100.7)",
        text: "250 2.0.0 queued as 4711", lastAttempt: 1_795_237_803)
    static let expanded = DeliveryReport.Recipient(
        originalRecipient: "rfc822;staff@example.test", finalRecipient: "staff@example.test", action: .expanded,
        status: "2.0.0", text: "handed to 3 members", lastAttempt: 1_795_237_804)
    static let expired = DeliveryReport.Recipient(
        originalRecipient: "rfc822;carol@slow.example", finalRecipient: "carol@slow.example", action: .failed,
        status: "5.4.7", diagnostic: "x-local; 500 (expired after 3d, problem was: connection timed out)",
        text: "expired after 3d, problem was: connection timed out", lastAttempt: 1_795_497_001)
    static let international = DeliveryReport.Recipient(
        originalRecipient: "utf-8;j\\x{F6}rg\\x{2B}x@b\\x{FC}cher.example",
        finalRecipient: "j\u{f6}rg+x@b\u{fc}cher.example", action: .failed, status: "5.1.1",
        diagnostic: "smtp; 550 5.1.1 <j\u{f6}rg+x@b\u{fc}cher.example>: unbekannt",
        remoteMTA: "mx.xn--bcher-kva.example (2001:db8::25)", text: "unbekannt", lastAttempt: 1_795_238_800)

    static let all = [
        Golden(name: "failed", form: "delivery", recipients: [sampleFailure]),
        Golden(name: "failed-header-only", form: "delivery", recipients: [sampleFailure]) { $0.original.body = nil },
        Golden(name: "expired", form: "expired", recipients: [expired]),
        Golden(name: "delayed", form: "delayed", recipients: [delayed]) { $0.original.body = nil },
        Golden(name: "delivered", form: "success", recipients: [delivered]) { $0.original.body = nil },
        Golden(name: "relayed", form: "relayed", recipients: [relayed]) { $0.original.body = nil },
        Golden(name: "expanded", form: "expanded", recipients: [expanded]) { $0.original.body = nil },
        Golden(
            name: "mixed", form: "delivery",
            recipients: [sampleFailure, delayed, delivered, relayed, expanded, expired]
        ) {
            $0.original.deliverBy = 1_795_300_000
            $0.original.releaseRequest = "for;3600"
        },
        Golden(
            name: "unrouted", form: "nosuchuser",
            recipients: [
                DeliveryReport.Recipient(
                    originalRecipient: "rfc822;ghost@example.test", finalRecipient: "ghost@example.test",
                    action: .failed, status: "5.1.1", diagnostic: "x-local; 500 (nosuchuser)",
                    text: "there is no such user here")
            ]),
        Golden(name: "double-fault", form: "doublefault", recipients: [sampleFailure]) {
            $0.to = ["postmaster"]
            $0.subjectPrefix = "Double-fault: "
            $0.original.header = Array(
                "From: Mail Delivery System <MAILER-DAEMON@mx.example.test>\r\nSubject: Mail is delayed\r\n".utf8)
        },
        Golden(name: "failed-de", form: "delivery", language: "de", recipients: [sampleFailure, delayed]) {
            $0.original.header += Array("X-Language: de\r\n".utf8)
        },
        Golden(name: "delayed-fr", form: "delayed", language: "fr", recipients: [delayed]) { $0.original.body = nil },
        Golden(name: "encoded-subject", form: "expired", language: "de", recipients: [expired]) {
            $0.original.header = Array("Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?iso-8859-1?Q?_aus_K=F6ln?=\r\n".utf8)
        },
        Golden(name: "global", form: "delivery", language: "de", recipients: [international, sampleFailure]) {
            $0.to = ["ren\u{e9}@example.test"]
            $0.original.isInternationalized = true
            $0.original.header = Array("From: <ren\u{e9}@example.test>\r\nSubject: Gr\u{fc}\u{df}e\r\n".utf8)
        },
        Golden(name: "global-headers", form: "delivery", recipients: [international]) {
            $0.to = ["ren\u{e9}@example.test"]
            $0.original.isInternationalized = true
            $0.original.header = Array("From: <ren\u{e9}@example.test>\r\nSubject: Gr\u{fc}\u{df}e\r\n".utf8)
            $0.original.body = nil
        },
        Golden(name: "global-for-ascii-sender", form: "delivery", recipients: [international]) {
            $0.original.isInternationalized = true
            $0.original.header = Array("From: <alice@example.test>\r\nSubject: Gr\u{fc}\u{df}e\r\n".utf8)
        },
    ]
}
