import MailModel
import Routing
import Testing

private func octets(_ text: String) -> [UInt8] { Array(text.utf8) }

@Suite("Routing: headers")
struct HeaderTests {
    @Test(
        "the glance and the whole section end at the same octet",
        arguments: [
            "A: b\r\n\r\nbody", "A: b\n\nbody", "\r\nbody", "\nbody", "A: b\r\n folded\r\n\tmore\r\n\r\nx",
            "A: b\r\nno field\r\nx",
            " starts with a blank: x\r\n\r\n", "A : b\r\n\r\n", "A b: c\r\n\r\n", "A: b\r\n\r", "A: b\r\n\r\r\n",
            "A: b", "A: b\r\n",
            "", ": x\r\n\r\n", "Ä: x\r\n\r\n", "From x Mon\r\nA: b\r\n\r\n", "A:\r\n\r\n", "A: b\r\n\r\n\r\n",
            "A: \0\r\n\r\nx",
            "Received: a\r\nReceived: b\r\n c\r\nrEcEiVeD: d\r\nReceivedX: e\r\n\r\nReceived: body\r\n",
            "Message-Id: <a@b>\r\n\r\n", "message-ID:\r\n <a@b>\t\r\n\r\n",
            "Message-Id: <1>\r\nMessage-Id: <2>\r\n\r\n",
        ])
    func agreement(text: String) {
        let whole = HeaderSection(octets(text))
        let glance = HeaderGlance(octets(text), from: 0)
        #expect(glance.end == whole.end)
        #expect(glance.bodyStart == whole.bodyStart)
        #expect(glance.receivedCount == whole.count("Received"))
        #expect(glance.messageID == whole.value("Message-Id") ?? "")
    }

    @Test("the glance begins where it is told to")
    func offset() {
        let glance = HeaderGlance(octets("env-end\nMessage-Id: <a@b>\r\n\r\nbody"), from: 8)
        #expect(glance.messageID == "<a@b>")
        #expect(glance.bodyStart == 29)
    }

    @Test("every beginning of a header is known to be one, so that the rest is read")
    func splits() {
        let text = octets("Received: a\r\n b\r\nMessage-Id: <a@b>\r\nSubject: x\r\n\r\nbody\r\n")
        let end = HeaderGlance(text, from: 0).bodyStart
        for length in 0...text.count {
            let glance = HeaderGlance(Array(text[..<length]), from: 0)
            if length < end { #expect(!glance.isComplete, "after \(length) octets") }
            if length >= end { #expect(glance == HeaderGlance(text, from: 0), "after \(length) octets") }
        }
    }

    @Test("a Message-Id without end is cut")
    func longMessageID() {
        let text = "Message-Id: \(String(repeating: "x", count: 100_000))\r\n\r\n"
        #expect(HeaderGlance(octets(text), from: 0).messageID.utf8.count == HeaderGlance.maximumMessageIDLength)
    }

    private func complete(_ text: String, sender: String? = "a@b.test") -> (header: String?, id: String?) {
        let completion = HeaderCompletion(id: "42", hostName: "h.test", sender: sender, time: 1_795_237_801)
        let (header, id) = completion.complete(HeaderSection(octets(text)))
        return (header.map { String(decoding: $0, as: UTF8.self) }, id)
    }

    private static let full =
        "From: a\r\nTo: b\r\nDate: c\r\nMessage-Id: <d>\r\n"

    @Test("a whole header is left as it is")
    func untouched() {
        #expect(complete(Self.full + "X: y\r\n\r\nbody").header == nil)
        #expect(complete(Self.full + "\r\n").id == "<d>")
    }

    @Test(
        "what is missing is added behind what is there",
        arguments: [
            ("To: b\r\nDate: c\r\nMessage-Id: <d>\r\n", "From: <a@b.test>\r\n"),
            ("From: a\r\nDate: c\r\nMessage-Id: <d>\r\n", "To: unlisted-recipients:; (no To-header on input)\r\n"),
            ("From: a\r\nTo: b\r\nMessage-Id: <d>\r\n", "Date: Sat, 21 Nov 2026 05:10:01 +0000\r\n"),
            ("From: a\r\nTo: b\r\nDate: c\r\n", "Message-Id: <42/20261121051001Z@h.test>\r\n"),
        ])
    func added(text: String, field: String) {
        #expect(complete(text + "\r\nbody\r\n").header == text + field)
    }

    @Test("Cc is recipient enough")
    func carbonCopy() {
        #expect(complete("From: a\r\nCc: b\r\nDate: c\r\nMessage-Id: <d>\r\n\r\n").header == nil)
    }

    @Test("a message without header gets one")
    func none() {
        let (header, id) = complete("\r\nbody\r\n", sender: nil)
        #expect(
            header == "Message-Id: <42/20261121051001Z@h.test>\r\nDate: Sat, 21 Nov 2026 05:10:01 +0000\r\n"
                + "From: MAILER-DAEMON@h.test\r\nTo: unlisted-recipients:; (no To-header on input)\r\n")
        #expect(id == "<42/20261121051001Z@h.test>")
    }

    @Test("Bcc and Resent-Bcc go, folded lines and all")
    func blindCopies() {
        let text =
            "Bcc: x,\r\n y\r\n" + Self.full + "BCC: z\r\nResent-bcc: q\r\nResent-From: r\r\n"
            + "Resent-To: s\r\nResent-Date: t\r\nResent-Message-Id: u\r\n\r\n"
        #expect(
            complete(text).header
                == Self.full + "Resent-From: r\r\nResent-To: s\r\nResent-Date: t\r\nResent-Message-Id: u\r\n")
    }

    @Test("a resent message is completed with Resent- fields")
    func resent() {
        let header = complete(Self.full + "Resent-To: x\r\n\r\n").header ?? ""
        #expect(header.contains("\r\nResent-From: <a@b.test>\r\n"))
        #expect(header.contains("\r\nResent-Date: "))
        #expect(header.contains("\r\nResent-Message-Id: <42/"))
        #expect(!header.contains("unlisted"))
    }

    @Test(
        "LF lines become CRLF lines",
        arguments: [
            "From: a\nTo: b\nDate: c\nBcc: q\nMessage-Id:\n <d>\n\nbody",
            "From: a\nTo: b\nDate: c\nBcc: q\nMessage-Id:\n <d>",
        ])
    func lineEnds(text: String) {
        #expect(complete(text).header == "From: a\r\nTo: b\r\nDate: c\r\nMessage-Id:\r\n <d>\r\n")
    }
}
