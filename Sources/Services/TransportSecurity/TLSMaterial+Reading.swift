import COpenSSL
import Glibc

extension TLSMaterial {
    /// Octets of one file at most; a bundle of all public authorities has 220,000.
    static let maximumFileSize = 4 << 20
    static let maximumNamedPairs = 1000

    /// Reads and checks the files. An error names the file and what is wrong with it: missing, unreadable, no PEM certificate in
    /// it, a key with a password or of another certificate. Dates are judged by ``problems(now:)`` alone.
    public static func read(_ files: Files) throws(TLSFailure) -> TLSMaterial {
        OpenSSL.start()
        var material = TLSMaterial()
        if let pair = files.pair { material.identity = try identity(pair, &material.warnings) }
        if let pair = files.secondPair {
            guard files.pair != nil else {
                throw TLSFailure(.configuration, file: pair.certificate, "a second certificate needs a first one")
            }
            material.secondIdentity = try identity(pair, &material.warnings)
        }
        guard files.namedPairs.count <= maximumNamedPairs else {
            throw TLSFailure(
                .configuration, "\(files.namedPairs.count) certificates by name; \(maximumNamedPairs) at most are valid"
            )
        }
        for pair in files.namedPairs { material.namedIdentities.append(try identity(pair, &material.warnings)) }
        if let path = files.authorities {
            let octets = try octets(of: path).octets
            guard try !pem(path, { () throws(PEM.Fault) in try PEM.certificates(octets) }).isEmpty else {
                throw TLSFailure(.configuration, file: path, "no PEM certificate in it (-----BEGIN CERTIFICATE-----)")
            }
            material.authorities = Text(file: path, octets: octets)
        }
        for path in files.dhParameters {
            let octets = try octets(of: path).octets
            _ = try pem(path) { () throws(PEM.Fault) in try PEM.dhParameters(octets) }
            material.dhParameters.append(Text(file: path, octets: octets))
        }
        material.ticketKey = try TicketKey.read(files.ticketKey)
        return material
    }

    private static func identity(_ pair: Files.Pair, _ warnings: inout [String]) throws(TLSFailure) -> Identity {
        let certificate = try octets(of: pair.certificate)
        let key = pair.key == pair.certificate ? certificate : try octets(of: pair.key)
        let identity = Identity(
            certificateFile: pair.certificate, keyFile: pair.key, certificate: certificate.octets, key: key.octets)
        _ = try identity.parsed()
        if key.mode & 0o007 != 0 {
            warnings.append("\(pair.key): the key may be used by everybody on this host (mode \(key.modeText))")
        }
        return identity
    }

    static func pem<Value>(
        _ file: String, _ parse: () throws(PEM.Fault) -> Value
    ) throws(TLSFailure) -> Value {
        do throws(PEM.Fault) {
            return try parse()
        } catch {
            throw TLSFailure(.configuration, file: file, error.reason)
        }
    }

    struct FileContent {
        let octets: [UInt8]
        let mode: mode_t
        var modeText: String { "0" + String(mode & 0o7777, radix: 8) }
    }

    static func octets(of path: String) throws(TLSFailure) -> FileContent {
        func failure(_ code: Int32) -> TLSFailure {
            TLSFailure(
                .configuration, file: path, code == ENOENT ? "there is no such file" : TLSMaterial.text(of: code))
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw failure(errno) }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw failure(errno) }
        guard info.st_mode & S_IFMT == S_IFREG else {
            throw TLSFailure(.configuration, file: path, "is not a regular file")
        }
        var octets: [UInt8] = []
        while true {
            guard octets.count <= maximumFileSize else {
                throw TLSFailure(.configuration, file: path, "is longer than \(maximumFileSize) octets")
            }
            var code: Int32 = 0
            let start = octets.count
            octets.append(contentsOf: repeatElement(0, count: 16384))
            let got = octets.withUnsafeMutableBytes { buffer in
                let got = Glibc.read(descriptor, buffer.baseAddress?.advanced(by: start), 16384)
                code = errno
                return got
            }
            octets.removeLast(16384 - max(got, 0))
            if got < 0 && code != EINTR { throw failure(code) }
            if got == 0 { return FileContent(octets: octets, mode: info.st_mode) }
        }
    }

    static func text(of code: Int32) -> String {
        String(cString: strerror(code))
    }
}

extension TLSMaterial.Identity {
    struct Parsed {
        let certificate: Certificate
        /// The rest of the file, in its order.
        let chain: [Certificate]
        let key: PrivateKey
    }

    func parsed() throws(TLSFailure) -> Parsed {
        OpenSSL.start()
        let certificates = try TLSMaterial.pem(certificateFile) { () throws(PEM.Fault) in
            try PEM.certificates(certificate)
        }
        guard let first = certificates.first else {
            throw TLSFailure(
                .configuration, file: certificateFile, "no PEM certificate in it (-----BEGIN CERTIFICATE-----)")
        }
        let privateKey = try TLSMaterial.pem(keyFile) { () throws(PEM.Fault) in try PEM.privateKey(key) }
        ERR_clear_error()
        guard X509_check_private_key(first.pointer, privateKey.pointer) == 1 else {
            ERR_clear_error()
            throw TLSFailure(
                .configuration, file: keyFile,
                "the key does not belong to the (first) certificate of \(certificateFile), \(first.subject)")
        }
        return Parsed(certificate: first, chain: Array(certificates.dropFirst()), key: privateKey)
    }
}
