import Digests
import Testing

@Suite("Digests")
struct DigestTests {
    @Test(
        "MD5 of RFC 1321 A.5",
        arguments: [
            ("", "d41d8cd98f00b204e9800998ecf8427e"), ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        ])
    func md5(text: String, expected: String) throws {
        let digest = try #require(Digest.md5(Array(text.utf8)))
        let digits = digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        #expect(digits == expected)
    }

    @Test("equal octets are equal, others are not, whatever their length")
    func equality() {
        #expect(Digest.areEqual([1, 2], [1, 2]))
        #expect(!Digest.areEqual([1, 2], [1, 3]))
        #expect(!Digest.areEqual([1, 2], [1]))
        #expect(Digest.areEqual([], []))
    }
}
