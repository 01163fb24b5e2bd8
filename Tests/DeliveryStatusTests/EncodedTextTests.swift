import Testing

@testable import DeliveryStatus

@Suite("Text beyond ASCII in what must be ASCII")
struct EncodedTextTests {
    static let texts = [
        "Gr\u{fc}\u{df}e", "Nachricht f\u{fc}r J\u{f6}rg und andere", "plain", "", "\u{1f4ec}",
        String(repeating: "\u{e4}", count: 300), String(repeating: "\u{4f60}\u{597d} ", count: 60) + "\u{597d}",
        "a=b?c_d \u{e9} =?x?= ", "50% \u{20ac} (100)",
    ]

    @Test("encoded-words are at most 75 octets, ASCII, and read back as they were", arguments: texts)
    func header(text: String) {
        let encoded = EncodedText.header(text)
        #expect(encoded.utf8.allSatisfy { (0x20..<0x7f).contains($0) })
        #expect(encoded.split(separator: " ").allSatisfy { !$0.hasPrefix("=?utf-8?Q?") || $0.utf8.count <= 75 })
        #expect(DecodedWords.text(encoded) == text.split(separator: " ").joined(separator: " ") || encoded == text)
    }

    @Test("what is ASCII stays, a phrase keeps its address")
    func phrase() {
        #expect(EncodedText.header("From: Post <a@b>") == "From: Post <a@b>")
        #expect(
            EncodedText.header("From: Zustelldienst K\u{f6}ln <a@b>")
                == "From: Zustelldienst =?utf-8?Q?K=C3=B6ln?= <a@b>")
        #expect(EncodedText.header("From: \"K\u{f6}ln\" <a@b>") == "From: =?utf-8?Q?K=C3=B6ln?= <a@b>")
    }

    @Test(
        "encoded-words of strangers",
        arguments: [
            ("=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Gr\u{fc}\u{df}e"), ("=?ISO-8859-1?q?K=F6ln?= Hbf", "K\u{f6}ln Hbf"),
            ("=?utf-8?B?w6Q=?= =?utf-8*de?B?w7Y=?=", "\u{e4}\u{f6}"), ("=?utf-8?Q?a_b?=", "a b"),
            ("=?koi8-r?Q?=C1?=", "=?koi8-r?Q?=C1?="), ("=?utf-8?X?a?=", "=?utf-8?X?a?="),
            ("=?utf-8?Q?=G1?=", "=?utf-8?Q?=G1?="),
            ("=?utf-8?B?*?=", "=?utf-8?B?*?="), ("=?", "=?"), ("a  b", "a  b"),
        ])
    func decoded(value: String, text: String) {
        #expect(DecodedWords.text(value) == text)
    }

    @Test(
        "quoted-printable",
        arguments: [
            ("\u{fc} = x\r\n", "=C3=BC =3D x\r\n"), ("blank \r\n", "blank=20\r\n"), (".\r\n", "=2E\r\n"),
            ("From x\r\nFROM x\r\n", "=46rom x\r\nFROM x\r\n"), ("\r\n\r\n", "\r\n\r\n"), ("x", "x\r\n"),
        ])
    func quotedPrintable(text: String, encoded: String) {
        #expect(String(decoding: EncodedText.quotedPrintable(Array(text.utf8)), as: UTF8.self) == encoded)
    }

    @Test("no line of quoted-printable has more than 76 octets, and nothing is lost", arguments: texts)
    func lineLength(text: String) {
        let encoded = EncodedText.quotedPrintable(Array("\(text)\r\n".utf8))
        let lines = String(decoding: encoded, as: UTF8.self).split(omittingEmptySubsequences: false) { $0 == "\r\n" }
        #expect(lines.allSatisfy { $0.utf8.count <= 76 && !$0.hasSuffix(" ") })
        var octets: [UInt8] = []
        var rest = Array(lines.map { $0.hasSuffix("=") ? String($0.dropLast()) : "\($0)\n" }.joined().utf8)[...]
        while let octet = rest.popFirst() {
            guard octet == UInt8(ascii: "=") else {
                octets.append(octet)
                continue
            }
            octets.append(UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) ?? 0)
            rest = rest.dropFirst(2)
        }
        #expect(String(decoding: octets, as: UTF8.self) == "\(text)\n\n")
    }

    @Test(
        "addresses of type utf-8",
        arguments: [
            ("j\u{f6}rg@x", "j\\x{F6}rg@x", "j\u{f6}rg@x"),
            ("a+b=c\\d e@x", "a\\x{2B}b\\x{3D}c\\x{5C}d\\x{20}e@x", "a\\x{2B}b\\x{3D}c\\x{5C}d\\x{20}e@x"),
            ("\u{1f4ec}\u{85}@x", "\\x{1F4EC}\\x{85}@x", "\u{1f4ec}\\x{85}@x"),
        ])
    func address(address: String, xtext: String, unitext: String) {
        #expect(InternationalAddress.xtext(address) == xtext)
        #expect(InternationalAddress.unitext(address) == unitext)
        #expect(InternationalAddress.decoded(xtext) == address && InternationalAddress.decoded(unitext) == address)
    }

    @Test(
        "what is no escape stands for itself", arguments: ["\\x", "\\x{}", "\\x{G}", "\\x{110000}", "\\x{D800}", "\\"])
    func noEscape(text: String) {
        #expect(InternationalAddress.decoded(text) == text)
    }
}
