import COpenSSL
import Testing

@Suite("OpenSSL")
struct OpenSSLTests {
    @Test("its digest of a known text is the known one (FIPS 180-2, appendix B.1)")
    func digest() throws {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var length: UInt32 = 0
        let text = Array("abc".utf8)
        #expect(EVP_Digest(text, text.count, &digest, &length, EVP_sha256(), nil) == 1)
        let hex = digest.prefix(Int(length)).map { octet in
            let digits = String(octet, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }
        #expect(hex.joined() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    @Test("a context for TLS can be made, so libssl is linked as well as libcrypto")
    func context() throws {
        let context = try #require(SSL_CTX_new(TLS_server_method()))
        defer { SSL_CTX_free(context) }
        let session = try #require(SSL_new(context))
        defer { SSL_free(session) }
        #expect(SSL_is_server(session) == 1)
    }
}
