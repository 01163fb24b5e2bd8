import Foundation
import Glibc

/// Certificates for one test, made by openssl(1).
enum TestCertificate {
    /// Writes `cert.pem`, of a self-signed certificate for these names, and `key.pem` into `folder`.
    static func make(in folder: String, names: [String] = ["mail.example.test", "localhost"]) throws {
        try openssl(
            ["req", "-x509"] + TestAuthority.Key.ecdsa.options
                + [
                    "-nodes", "-days", "30", "-subj", "/CN=\(names[0])", "-addext", alternatives(names), "-keyout",
                    "\(folder)/key.pem", "-out", "\(folder)/cert.pem",
                ], in: folder)
    }

    fileprivate static func alternatives(_ names: [String]) -> String {
        "subjectAltName=" + (names.map { "DNS:\($0)" } + ["IP:127.0.0.1"]).joined(separator: ",")
    }

    /// Runs it to its end.
    fileprivate static func openssl(_ arguments: [String], in folder: String) throws {
        let output = "\(folder)/openssl.\(UUID().uuidString)"
        defer { unlink(output) }
        let process = try TestProcess(Programs.openssl, arguments, outputPath: output)
        var status: TestProcess.ExitStatus?
        while status == nil {
            status = process.poll()
            usleep(1000)
        }
        guard status == .exited(0) else { throw HarnessError("openssl \(arguments[0]): \(process.output)") }
    }
}

/// A certificate authority for one test, in a folder of the test's.
struct TestAuthority {
    enum Key: String, Sendable {
        case rsa = "RSA"
        case ecdsa = "ECDSA"

        fileprivate var options: [String] {
            switch self {
            case .rsa: ["-newkey", "rsa:2048"]
            case .ecdsa: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            }
        }
    }

    let folder: String
    /// What trusts everything that it has signed.
    var certificate: String { "\(folder)/authority.pem" }

    /// One that is there.
    init(at folder: String) { self.folder = folder }

    /// A new one, in the place of what was there.
    init(in folder: String) throws {
        self.folder = folder
        try TestCertificate.openssl(
            ["req", "-x509"] + Key.ecdsa.options
                + [
                    "-nodes", "-days", "30", "-subj", "/CN=authority.test", "-keyout", "\(folder)/authority.key",
                    "-out", certificate,
                ], in: folder)
    }

    /// Writes `NAME.pem` and `NAME.key`, a certificate for these DNS names, the first of which is its common name, and its key.
    func issue(_ name: String, _ key: Key = .ecdsa, names: [String]) throws {
        // Both files are put in place whole: whoever reads them may do so at any time.
        let (pem, secret) = ("\(folder)/\(name).pem", "\(folder)/\(name).key")
        try TestCertificate.openssl(
            ["req", "-x509", "-CA", certificate, "-CAkey", "\(folder)/authority.key"] + key.options
                + [
                    "-nodes", "-days", "30", "-subj", "/CN=\(names[0])", "-addext",
                    TestCertificate.alternatives(names), "-addext", "basicConstraints=critical,CA:FALSE", "-keyout",
                    secret + ".new", "-out", pem + ".new",
                ], in: folder)
        guard rename(secret + ".new", secret) == 0, rename(pem + ".new", pem) == 0 else {
            throw HarnessError("\(pem): \(String(cString: strerror(errno)))")
        }
    }
}
