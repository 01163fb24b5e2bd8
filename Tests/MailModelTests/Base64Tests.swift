import MailModel
import Testing

@Suite struct Base64Tests {
    @Test(
        "the vectors of RFC 4648 §10, both ways",
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ])
    func vectors(plain: String, encoded: String) {
        #expect(Base64.encode(Array(plain.utf8)) == encoded)
        #expect(Base64.decode(encoded.utf8) == Array(plain.utf8))
    }

    @Test(
        "what is no base64, or another way to write a value, is refused",
        arguments: [
            "Z", "Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Zm9v=", "Zg==Zg==", "Z=g=", "Zm9v\n", " Zm9v",
            "Zm-_", "Zm9vé", "=", "=Zg=",
        ])
    func refused(text: String) {
        #expect(Base64.decode(text.utf8) == nil)
    }

    @Test("every octet comes back, at every length up to 300")
    func roundTrip() {
        for length in 0...300 {
            let octets = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ length) }
            #expect(Base64.decode(Base64.encode(octets).utf8) == octets)
            var text = Array("x=".utf8)
            Base64.append(octets, to: &text)
            #expect(text == Array("x=\(Base64.encode(octets))".utf8))
        }
    }
}
