import Foundation
import Glibc

/// Certificates for one test, made by openssl(1).
enum TestCertificate {
    /// Writes `cert.pem`, of a self-signed certificate for these names, and `key.pem` into `folder`.
    static func make(in folder: String, names: [String] = ["mail.example.test", "localhost"]) throws {
        let alternatives = (names.map { "DNS:\($0)" } + ["IP:127.0.0.1"]).joined(separator: ",")
        let output = "\(folder)/openssl.out"
        defer { unlink(output) }
        let process = try TestProcess(
            Programs.openssl,
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj", "/CN=\(names[0])", "-addext", "subjectAltName=\(alternatives)", "-keyout", "\(folder)/key.pem",
                "-out", "\(folder)/cert.pem",
            ], outputPath: output)
        var status: TestProcess.ExitStatus?
        while status == nil {
            status = process.poll()
            usleep(1000)
        }
        guard status == .exited(0) else { throw HarnessError("openssl req: \(process.output)") }
    }
}
