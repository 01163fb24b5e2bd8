import Foundation
import Glibc

/// Debian's Exim, unpacked by scripts/peers, as a client.
extension Instance {
    /// One message by Exim: taken from a file as sendmail would, delivered at once by its SMTP transport. Its lines may end
    /// with LF. The output is Exim's log.
    @discardableResult
    func eximSend(
        from sender: String = "sender@client.test", to recipients: String..., message: [UInt8], tls: PeerTLS = .none,
        login: PeerLogin? = nil
    ) async throws -> (status: TestProcess.ExitStatus, output: String) {
        let folder = "\(directory)/exim"
        try? FileManager.default.removeItem(atPath: folder)
        // The unpacked programs may lie where only root looks; Exim gives up root's rights and starts itself again.
        let place = "\(folder)/programs"
        let program = "\(place)/usr/sbin/exim4"
        let unpacked = URL(fileURLWithPath: Programs.exim).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let libraries = Programs.eximLibraries.replacingOccurrences(of: unpacked, with: place)
        for name in ["spool", "log", "programs"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }
        let accounts = try PeerAccounts(["Debian-exim"], in: folder)
        let id = accounts.id(of: "Debian-exim")
        for path in [folder, "\(folder)/spool", "\(folder)/log"] { chown(path, id, id) }
        chmod(directory, 0o755)
        try eximConfiguration(folder, program, tls: tls, login: login).write(
            toFile: "\(folder)/exim.conf", atomically: true, encoding: .utf8)
        let (starter, arguments) = accounts.command(
            program, ["-C", "\(folder)/exim.conf", "-odf", "-oi", "-f", sender] + recipients,
            mounting: [(unpacked, place)])
        let result = try await run(
            starter, arguments, environment: ["LD_LIBRARY_PATH": libraries], input: try scratch(message))
        let log = FileManager.default.contents(atPath: "\(folder)/log/mainlog") ?? Data()
        return (result.status, result.output + String(decoding: log, as: UTF8.self))
    }

    private func eximConfiguration(_ folder: String, _ program: String, tls: PeerTLS, login: PeerLogin?) -> String {
        let security =
            switch tls {
            case .none: "hosts_avoid_tls = *"
            case .starttls, .implicit:
                """
                hosts_require_tls = *
                  tls_verify_certificates = \(certificate)
                  tls_verify_hosts = *
                  tls_verify_cert_hostnames =
                """
            }
        let authentication =
            login.map {
                """
                plain:
                  driver = plaintext
                  public_name = PLAIN
                  client_send = ^\($0.user)^\($0.password)
                """
            } ?? ""
        return """
            primary_hostname = exim.client.test
            exim_path = \(program)
            spool_directory = \(folder)/spool
            log_file_path = \(folder)/log/%slog
            log_selector = +tls_cipher +tls_peerdn +smtp_confirmation +pipelining
            keep_environment = LD_LIBRARY_PATH
            no_message_logs
            bounce_return_message = false
            untrusted_set_sender = *
            no_local_from_check
            begin routers
            all:
              driver = manualroute
              route_list = * 127.0.0.1
              self = send
              transport = out
            begin transports
            out:
              driver = smtp
              port = \(port)
              allow_localhost
              hosts_try_dane =
              hosts_require_auth = \(login == nil ? "" : "*")
              protocol = \(tls == .implicit ? "smtps" : "smtp")
              \(security)
            begin retry
            * * F,1h,1m
            begin authenticators
            \(authentication)

            """
    }
}
