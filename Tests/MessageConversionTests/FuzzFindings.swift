import MessageConversion
import Testing

@Suite("What fuzzing has found in the conversion")
struct FuzzFindings {
    @Test(
        "no octet above 127 is left, and nothing is left to do",
        arguments: [
            "MIME-Version: 1.0\r\nContent-Type: multipart/m\u{ff}\u{ff}\u{ff}\u{ff}ntent-Typ\u{0}\u{5}e: text/plamixed; boundary=b\r\nSubject: \u{c3}\u{a9}\r\nfe\u{c3}\u{a9}r-En\r\n\r\n\u{0}coding: 4bi\u{0}\u{c}\u{0}"
        ])
    func complete(message: String) throws {
        // Each character is an octet.
        let octets = message.unicodeScalars.map { UInt8($0.value) }
        let result = try #require(Conversion.convert(octets))
        #expect(result.allSatisfy { $0 < 0x80 }, "\(String(decoding: result, as: UTF8.self))")
        #expect(!Conversion.plan(result).hasEightBitOctets)
        for piece in 1...8 { #expect(Conversion.convert(octets, piece: piece) == result) }
    }
}
