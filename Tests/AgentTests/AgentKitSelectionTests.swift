import AgentKit
import MailModel
import SpoolFormat
import Testing

@Suite("Selection of recipients")
struct AgentKitSelectionTests {
    static func file(_ recipients: [(String, String, String, ControlRecipient.Tag, Int?)]) -> ControlFile {
        let sender = Quad(channel: "smtp", host: "-", user: "s@a.test", privilege: 0)
        let list = recipients.enumerated().map { index, row in
            var recipient = ControlRecipient(quad: Quad(channel: row.0, host: row.1, user: row.2, privilege: 0))
            recipient.tag = row.3
            recipient.lockHolder = row.4
            recipient.offset = 100 * (index + 1)
            return recipient
        }
        return ControlFile(
            id: SpoolID(rawValue: 1), headerStart: 0, bodyOffset: 0, messageSize: 0, logID: "",
            groups: [
                ControlGroup(sender: sender, errorsTo: nil, recipients: Array(list.prefix(2))),
                ControlGroup(sender: sender, errorsTo: nil, recipients: Array(list.dropFirst(2))),
            ])
    }

    static let mixed = file([
        ("local", "-", "one", .pending, nil), ("smtp", "b.test", "two", .pending, nil),
        ("smtp", "a.test", "three", .pending, nil), ("smtp", "b.test", "four", .delivered, nil),
        ("smtp", "b.test", "five", .failed, nil), ("smtp", "b.test", "six", .locked, 4711),
        ("smtp", "b.test", "seven", .locked, 4712), ("smtp", "b.test", "eight", .locked, nil),
    ])

    private func addresses(
        _ file: ControlFile, _ channel: String, _ host: String?, filter: String? = nil
    ) -> [String] {
        RecipientSelection(channel: channel, hostFilter: filter)
            .select(from: file, host: host) { $0 == 4711 }.recipients.map(\.address)
    }

    @Test("channel and host must be equal; what is done or held by a living agent is left alone")
    func hosts() {
        #expect(addresses(Self.mixed, "smtp", "b.test") == ["two", "seven", "eight"])
        #expect(addresses(Self.mixed, "smtp", "a.test") == ["three"])
        #expect(addresses(Self.mixed, "local", "-") == ["one"])
        #expect(addresses(Self.mixed, "smtp", "c.test").isEmpty)
        #expect(addresses(Self.mixed, "hold", nil).isEmpty)
    }

    @Test("without a host the first one selected sticks")
    func sticky() {
        #expect(addresses(Self.mixed, "smtp", nil) == ["two", "seven", "eight"])
        #expect(addresses(Self.mixed, "smtp", nil, filter: "a.test") == ["three"])
        #expect(addresses(Self.mixed, "smtp", "b.test", filter: "a.test").isEmpty)
    }

    @Test("a final record counts though its tag was lost; a delay does not")
    func records() {
        var file = Self.mixed
        let notary = { (action: Notary.Action) in Notary(finalRecipient: "x", action: action, status: "2.0.0") }
        file.records = [
            ResultRecord(
                offset: 200, headerOffset: -1, notaryOffset: -1, time: 0, notary: notary(.relayed), message: ""),
            ResultRecord(
                offset: 700, headerOffset: -1, notaryOffset: -1, time: 0, notary: notary(.delayed), message: ""),
        ]
        #expect(addresses(file, "smtp", "b.test") == ["seven", "eight"])
    }

    @Test(
        "foreign text becomes one bounded line",
        arguments: [
            ("plain", "plain"), ("a\r\nb\tc\u{01}d", "a b c d"), ("\u{85}\u{2028}x", "  x"), ("grün", "grün"),
            (String(repeating: "y", count: 30), "yyyyyyyyyyyyyyyyyyyy..."),
        ])
    func cleaned(text: String, expected: String) {
        // CRLF is one Character but two scalars: two blanks.
        let result = ReportText.cleaned(text, maximumLength: 20)
        #expect(result == (text.contains("\r\n") ? "a  b c d" : expected))
    }
}
