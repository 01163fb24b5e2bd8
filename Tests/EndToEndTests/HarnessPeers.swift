import Foundation
import Glibc

/// How a peer protects its connection.
enum PeerTLS: String, Sendable {
    case none = "clear text"
    case starttls = "STARTTLS"
    /// From the beginning.
    case implicit = "TLS"
}

/// With what a peer authenticates.
struct PeerLogin: Sendable {
    let user: String
    let password: String
    static let alice = PeerLogin(user: "alice", password: "secret")
}

/// Real mail programs that talk to an instance.
extension Instance {
    /// What peers check the server's certificate with.
    var certificate: String { "\(directory)/var/cert.pem" }

    /// One message by swaks; its exit status and transcript.
    @discardableResult
    func swaks(
        from sender: String = "sender@client.test", to recipients: String..., tls: PeerTLS = .none,
        login: PeerLogin? = nil, arguments: [String] = []
    ) async throws -> (status: TestProcess.ExitStatus, output: String) {
        var options = [
            "--server", "127.0.0.1:\(port)", "--helo", "client.test", "--from", sender, "--to",
            recipients.joined(separator: ","),
        ]
        switch tls {
        case .none: break
        case .starttls: options += ["--tls", "--tls-verify", "--tls-ca-path", certificate]
        case .implicit: options += ["--tls-on-connect", "--tls-verify", "--tls-ca-path", certificate]
        }
        if let login {
            options += ["--auth", "PLAIN,LOGIN", "--auth-user", login.user, "--auth-password", login.password]
        }
        return try await run(Programs.swaks, options + arguments)
    }

    /// One message by curl, octet for octet.
    @discardableResult
    func curl(
        from sender: String = "sender@client.test", to recipients: String..., message: [UInt8], tls: PeerTLS = .none,
        login: PeerLogin? = nil
    ) async throws -> (status: TestProcess.ExitStatus, output: String) {
        let file = try scratch(message)
        let scheme = tls == .implicit ? "smtps" : "smtp"
        var options = ["-sS", "-v", "--max-time", "60", "--mail-from", sender]
        for recipient in recipients { options += ["--mail-rcpt", recipient] }
        options += ["--upload-file", file, "\(scheme)://127.0.0.1:\(port)/client.test"]
        if tls != .none { options += ["--ssl-reqd", "--cacert", certificate] }
        if let login { options += ["--user", "\(login.user):\(login.password)"] }
        return try await run(Programs.curl, options)
    }

    /// One message by msmtp; its lines may end with LF.
    @discardableResult
    func msmtp(
        from sender: String = "sender@client.test", to recipients: String..., message: [UInt8], tls: PeerTLS = .none,
        login: PeerLogin? = nil
    ) async throws -> (status: TestProcess.ExitStatus, output: String) {
        var options = [
            "--file=/dev/null", "--debug", "--host=127.0.0.1", "--port=\(port)", "--domain=client.test",
            "--from=\(sender)", "--timeout=60", "--set-date-header=off", "--set-msgid-header=off",
        ]
        switch tls {
        case .none: options.append("--tls=off")
        case .starttls: options += ["--tls=on", "--tls-starttls=on", "--tls-trust-file=\(certificate)"]
        case .implicit: options += ["--tls=on", "--tls-starttls=off", "--tls-trust-file=\(certificate)"]
        }
        if let login {
            options += ["--auth=plain", "--user=\(login.user)", "--passwordeval=echo '\(login.password)'"]
        }
        return try await run(Programs.msmtp, options + ["--"] + recipients, input: try scratch(message))
    }

    /// A dialogue by openssl(1) s_client: all lines at once within TLS; what the server said there.
    func opensslClient(_ lines: [String], tls: PeerTLS, arguments: [String] = []) async throws -> (
        status: TestProcess.ExitStatus, output: String
    ) {
        let file = try scratch(Array(lines.map { $0 + "\r\n" }.joined().utf8))
        let start = tls == .starttls ? ["-starttls", "smtp", "-name", "client.test"] : []
        return try await run(
            Programs.openssl,
            ["s_client", "-connect", "127.0.0.1:\(port)", "-quiet", "-verify_quiet"]
                + ["-CAfile", certificate, "-verify_return_error"] + start + arguments,
            input: file)
    }

    /// `count` messages by Postfix's smtp-source, each with a sender-side subject of its own.
    @discardableResult
    func smtpSource(
        count: Int, sessions: Int = 10, size: Int = 1024, from sender: String = "sender@client.test",
        to recipient: String, arguments: [String] = []
    ) async throws -> (status: TestProcess.ExitStatus, output: String) {
        try await run(
            Programs.smtpSource,
            [
                "-c", "-d", "-m", String(count), "-s", String(sessions), "-l", String(size), "-f", sender, "-t",
                recipient,
            ]
                + arguments + ["inet:127.0.0.1:\(port)"],
            environment: ["LD_LIBRARY_PATH": Programs.postfixLibraries])
    }

    /// Postfix's smtp-sink on a port of its own; it listens when this returns.
    func smtpSink(port: UInt16? = nil, arguments: [String] = []) async throws -> (process: TestProcess, port: UInt16) {
        let chosen = try port ?? FreePorts.take()
        // As root it insists on a user to become.
        let user = getuid() == 0 ? ["-u", "nobody"] : []
        let process = try spawn(
            Programs.smtpSink, user + arguments + ["inet:127.0.0.1:\(chosen)", "1024"],
            environment: ["LD_LIBRARY_PATH": Programs.postfixLibraries])
        try await waitUntil("smtp-sink listens", details: { process.output }) {
            if let status = process.poll() { throw HarnessError("smtp-sink ended: \(status) \(process.output)") }
            return isListening(chosen)
        }
        return (process, chosen)
    }

    /// A file with these octets, in the instance's folder.
    func scratch(_ octets: [UInt8]) throws -> String {
        let file = "\(directory)/scratch.\(UUID().uuidString)"
        try Data(octets).write(to: URL(fileURLWithPath: file))
        return file
    }
}
