import COpenSSL
import MailModel

/// The one place that decides whether a server's certificate will do.
///
/// Its pointers are borrowed from the callback that makes it, for the length of that call.
struct ServerJudgement {
    let store: OpaquePointer
    let leaf: OpaquePointer
    let verification: TLSVerification

    /// 1: the handshake goes on. What was found is left in the store's error, which becomes the connection's verify result.
    func decide() -> Int32 {
        switch verification {
        case .opportunistic(let names):
            _ = judge(names)
            ERR_clear_error()
            return 1
        case .names(let names):
            guard !names.isEmpty else {
                X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH)
                return 0
            }
            return judge(names) ? 1 : 0
        case .fingerprints(let fingerprints):
            let isKnown = Certificate.fingerprint(of: leaf).map { fingerprints.contains($0) } ?? false
            X509_STORE_CTX_set_error(store, isKnown ? X509_V_OK : X509_V_ERR_CERT_REJECTED)
            return isKnown ? 1 : 0
        }
    }

    private func judge(_ names: [String]) -> Bool {
        guard X509_verify_cert(store) == 1, X509_STORE_CTX_get_error(store) == X509_V_OK else {
            if X509_STORE_CTX_get_error(store) == X509_V_OK { X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED) }
            return false
        }
        guard names.isEmpty || names.contains(where: hasName) else {
            X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH)
            return false
        }
        return true
    }

    private func hasName(_ name: String) -> Bool {
        if let address = IPAddress(name) {
            let octets = address.octets
            return X509_check_ip(leaf, octets, octets.count, 0) == 1
        }
        // With a dot in front X509_check_host(3) takes all names below the domain.
        let dot = name.hasPrefix(".") ? "." : ""
        guard let ascii = asciiName(String(name.dropFirst(dot.utf8.count))) else { return false }
        let text = dot + ascii
        return X509_check_host(leaf, text, text.utf8.count, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS), nil) == 1
    }
}
