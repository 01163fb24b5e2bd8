import COpenSSL
import Glibc
import MailModel

/// An X.509 certificate. It owns its `X509`, which is not changed after it is made.
final class Certificate {
    let pointer: OpaquePointer

    /// Takes over the caller's reference.
    init(owning pointer: OpaquePointer) { self.pointer = pointer }
    deinit { X509_free(pointer) }

    /// RFC 4514 notation.
    var subject: String { Self.text(of: X509_get_subject_name(pointer)) }
    var issuer: String { Self.text(of: X509_get_issuer_name(pointer)) }

    /// The last CN of the subject.
    var commonName: String? {
        guard let name = X509_get_subject_name(pointer) else { return nil }
        var last: Int32 = -1
        while true {
            let next = X509_NAME_get_index_by_NID(name, NID_commonName, last)
            if next < 0 { break }
            last = next
        }
        guard last >= 0, let entry = X509_NAME_get_entry(name, last),
            let value = X509_NAME_ENTRY_get_data(entry)
        else { return nil }
        return Self.text(of: value)
    }

    /// The dNSName entries of subjectAltName as they are, or the CN if there is none of them (RFC 6125 §6.4.4).
    var dnsNames: [String] {
        var names: [String] = []
        if let extensions = X509_get_ext_d2i(pointer, NID_subject_alt_name, nil, nil) {
            let list = OpaquePointer(extensions)
            defer { GENERAL_NAMES_free(list) }
            for index in 0..<OPENSSL_sk_num(list) {
                guard let entry = OPENSSL_sk_value(list, index) else { continue }
                var type: Int32 = 0
                let name = entry.assumingMemoryBound(to: GENERAL_NAME.self)
                guard let value = GENERAL_NAME_get0_value(name, &type), type == GEN_DNS else { continue }
                names.append(Self.text(of: value.assumingMemoryBound(to: ASN1_STRING.self)))
            }
        }
        if names.isEmpty, let commonName { names.append(commonName) }
        return names
    }

    /// Seconds since 1970; `nil` if the certificate's text cannot be read.
    var notBefore: Int64? { Self.seconds(X509_get0_notBefore(pointer)) }
    var notAfter: Int64? { Self.seconds(X509_get0_notAfter(pointer)) }

    /// `RSA 2048`, `EC prime256v1`, `DSA 2048`, `ED25519`.
    var keyType: String { X509_get0_pubkey(pointer).map { PrivateKey.type(of: $0) } ?? "unknown key" }

    /// Whether it has signed itself, as roots have.
    var isSelfIssued: Bool { X509_NAME_cmp(X509_get_subject_name(pointer), X509_get_issuer_name(pointer)) == 0 }

    func isIssuer(of other: Certificate) -> Bool { X509_check_issued(pointer, other.pointer) == X509_V_OK }

    var fingerprint: TLSFingerprint? { Self.fingerprint(of: pointer) }

    static func fingerprint(of pointer: OpaquePointer) -> TLSFingerprint? {
        var octets = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 32
        guard X509_digest(pointer, EVP_sha256(), &octets, &length) == 1 else { return nil }
        return TLSFingerprint(octets: octets)
    }

    // MARK: Texts

    private static func text(of name: OpaquePointer?) -> String {
        guard let name, let bio = BIO_new(BIO_s_mem()) else { return "" }
        defer { BIO_free(bio) }
        guard X509_NAME_print_ex(bio, name, 0, cossl_name_flags()) >= 0 else { return "" }
        var start: UnsafeMutablePointer<CChar>?
        let count = BIO_ctrl(bio, BIO_CTRL_INFO, 0, &start)
        guard count > 0, let start else { return "" }
        let octets = UnsafeRawBufferPointer(start: start, count: count)
        return LogText.line(String(decoding: octets, as: UTF8.self), limit: 300)
    }

    private static func text(of value: UnsafePointer<ASN1_STRING>) -> String {
        var octets: UnsafeMutablePointer<UInt8>?
        let count = ASN1_STRING_to_UTF8(&octets, value)
        guard count >= 0, let octets else {
            ERR_clear_error()
            return ""
        }
        defer { CRYPTO_free(octets, nil, 0) }
        let text = String(decoding: UnsafeRawBufferPointer(start: octets, count: Int(count)), as: UTF8.self)
        return LogText.line(text, limit: 300)
    }

    private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
        var parts = tm()
        guard let time, ASN1_TIME_to_tm(time, &parts) == 1 else { return nil }
        return Int64(timegm(&parts))
    }
}

/// A private key. It owns its `EVP_PKEY`, which is not changed after it is made.
final class PrivateKey {
    let pointer: OpaquePointer

    /// Takes over the caller's reference.
    init(owning pointer: OpaquePointer) { self.pointer = pointer }
    deinit { EVP_PKEY_free(pointer) }

    static func type(of key: OpaquePointer) -> String {
        let name = EVP_PKEY_get0_type_name(key).map { String(cString: $0) } ?? "unknown key"
        switch EVP_PKEY_get_base_id(key) {
        case EVP_PKEY_EC:
            var group = [CChar](repeating: 0, count: 64)
            var length = 0
            guard EVP_PKEY_get_group_name(key, &group, group.count, &length) == 1 else { return name }
            return "EC " + String(decoding: group.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        case EVP_PKEY_RSA, EVP_PKEY_DSA: return "\(name) \(EVP_PKEY_get_bits(key))"
        default: return name
        }
    }
}
