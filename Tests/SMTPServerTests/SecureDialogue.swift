import ChildProcesses
import Glibc
import TransportSecurity

/// A key and a certificate for `mx.example.test`, made by openssl(1) once for the whole run.
enum TestCertificate {
    static let directory: String = {
        var template = Array("/tmp/zmc-XXXXXX".utf8CString)
        precondition(mkdtemp(&template) != nil, "mkdtemp")
        let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        make("\(directory)/first", "/CN=mx.example.test")
        make("\(directory)/second", "/CN=mx.example.test")
        return directory
    }()

    static var path: String { "\(directory)/first.pem" }
    /// Another one of the same name.
    static var otherPath: String { "\(directory)/second.pem" }

    /// Certificate and key in one file.
    private static func make(_ path: String, _ subject: String) {
        let null = open("/dev/null", O_RDWR)
        defer { close(null) }
        let child = try? ChildProcess.spawn(
            ChildRequest(
                path: "/usr/bin/openssl",
                arguments: [
                    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", subject, "-addext", "subjectAltName=DNS:mx.example.test", "-keyout", "\(path).key", "-out",
                    "\(path).crt",
                ], environment: ["PATH=/usr/bin:/bin"], descriptors: [null, null, null]))
        precondition(child?.wait(milliseconds: 20_000) == .code(0), "openssl req")
        let text = [read("\(path).crt"), read("\(path).key")].flatMap { $0 }
        let file = open("\(path).pem", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        precondition(write(file, text, text.count) == text.count, path)
        close(file)
    }

    private static func read(_ path: String) -> [UInt8] {
        let file = open(path, O_RDONLY)
        defer { close(file) }
        var octets = [UInt8](repeating: 0, count: 65536)
        let count = Glibc.read(file, &octets, octets.count)
        return Array(octets.prefix(max(0, count)))
    }
}

/// TLS on a ``Dialogue``, as a client that takes any certificate.
extension Dialogue {
    func startTLS(serverName: String = "mx.example.test") throws {
        let context = try TLSClientContext(TLSMaterial(), TLSClientSettings())
        let connection = try TLSConnection(client: context, serverName: serverName, verification: .none)
        while true {
            let progress = try connection.handshake()
            try sendRaw(connection.takeOutput())
            switch progress {
            case .established:
                tls = connection
                return
            case .closed: throw FixtureError("closed in the handshake")
            case .needInput: break
            }
            guard let octets = try receiveRaw() else { throw FixtureError("connection ended in the handshake") }
            try octets.withUnsafeBytes { try connection.receive($0) }
        }
    }

    var tlsInfo: TLSSessionInfo? { tls?.session }
}
