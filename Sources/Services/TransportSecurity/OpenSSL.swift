import COpenSSL

/// What is done once for the library, and its queue of errors.
enum OpenSSL {
    /// Must be used before the first other call; later uses cost nothing.
    ///
    /// The library's own clean-up at exit is turned off: it would free what threads in the middle of a handshake use.
    static func start() { _ = started }

    private static let started: Bool = {
        OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_ATEXIT) | UInt64(OPENSSL_INIT_LOAD_CONFIG), nil) == 1
            && OPENSSL_init_ssl(UInt64(OPENSSL_INIT_LOAD_SSL_STRINGS), nil) == 1
    }()

    /// One entry of the queue.
    struct Entry {
        let library: Int32
        let reason: Int32
        let text: String
    }

    /// Empties this thread's queue, oldest first; 8 entries at most are kept.
    static func drainErrors() -> [Entry] {
        var entries: [Entry] = []
        while true {
            var data: UnsafePointer<CChar>?
            var flags: Int32 = 0
            let code = ERR_get_error_all(nil, nil, nil, &data, &flags)
            guard code != 0 else { return entries }
            guard entries.count < 8 else { continue }
            var text = ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(code)"
            if flags & ERR_TXT_STRING != 0, let data, data.pointee != 0 { text += " (\(String(cString: data)))" }
            entries.append(Entry(library: ERR_GET_LIB(code), reason: ERR_GET_REASON(code), text: text))
        }
    }

    /// The texts of the queue, which is empty afterwards; `otherwise` if there is none.
    static func drainTexts(otherwise: String = "no reason given") -> String {
        let texts = drainErrors().map(\.text)
        return texts.isEmpty ? otherwise : texts.joined(separator: "; ")
    }
}
