import COpenSSL
import Glibc

/// The key of session tickets, as 80 octets: 16 of name, 32 of MAC key, 32 of cipher key (OpenSSL's order).
enum TicketKey {
    static let size = 80

    /// Of the file, which is made if it is missing; without a file a random one.
    static func read(_ path: String?) throws(TLSFailure) -> [UInt8] {
        guard let path else { return try random() }
        if access(path, F_OK) != 0, errno == ENOENT { try make(path) }
        let octets = try TLSMaterial.octets(of: path).octets
        switch octets.count {
        case size: return octets
        case 48: return expanded(octets)
        default:
            throw TLSFailure(
                .configuration, file: path, "a ticket key has 48 or 80 octets, this one has \(octets.count)")
        }
    }

    static func random() throws(TLSFailure) -> [UInt8] {
        OpenSSL.start()
        var octets = [UInt8](repeating: 0, count: size)
        ERR_clear_error()
        guard RAND_priv_bytes(&octets, Int32(octets.count)) == 1 else {
            throw TLSFailure(.configuration, "no random octets: \(OpenSSL.drainTexts())")
        }
        return octets
    }

    /// 48 octets (the form of other servers: name and 32 octets of secret) become both keys by hashing.
    private static func expanded(_ octets: [UInt8]) -> [UInt8] {
        func digest(_ use: UInt8) -> [UInt8] {
            var digest = [UInt8](repeating: 0, count: 32)
            let input = [use] + octets[16...]
            _ = SHA256(input, input.count, &digest)
            return digest
        }
        return Array(octets[..<16]) + digest(1) + digest(2)
    }

    /// Complete under its name or not there at all; if another process is first, its key stays.
    private static func make(_ path: String) throws(TLSFailure) {
        func failure(_ what: String, _ code: Int32) -> TLSFailure {
            TLSFailure(.configuration, file: path, "cannot be made: \(what): \(TLSMaterial.text(of: code))")
        }
        let octets = try random()
        let draft = "\(path).\(getpid())"
        unlink(draft)
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw failure("open", errno) }
        defer {
            close(descriptor)
            unlink(draft)
        }
        guard write(descriptor, octets, octets.count) == octets.count else { throw failure("write", errno) }
        guard fsync(descriptor) == 0 else { throw failure("fsync", errno) }
        guard link(draft, path) == 0 || errno == EEXIST else { throw failure("link", errno) }
    }
}
