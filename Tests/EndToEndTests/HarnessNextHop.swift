import Foundation
import Glibc
import Testing

/// The mail systems that people have, as next hops of ours: each knows box@next.test and nobody else, and gives what it takes to a
/// sink, or keeps it (Dovecot).
enum NextHopServer: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case postfix
    case exim
    case opensmtpd
    case dovecot

    var testDescription: String { rawValue }

    /// Whether it can be started here.
    var isAvailable: Bool {
        guard PeerAccounts.canBeMade else { return false }
        switch self {
        case .postfix, .exim: return true
        case .opensmtpd: return access(Programs.opensmtpd, X_OK) == 0
        case .dovecot: return access(Programs.dovecot, X_OK) == 0
        }
    }

    static var available: [NextHopServer] { allCases.filter(\.isAvailable) }

    /// The channel and the options that lead to it.
    func route(_ port: UInt16) -> String {
        "next.test \(self == .dovecot ? "smtp-lmtp" : "smtpx")![127.0.0.1]:\(port)"
    }
}

/// One that runs.
final class NextHopPeer {
    let kind: NextHopServer
    private let folder: String
    private let process: TestProcess?
    private let postfix: Postfix?

    /// It listens when this returns.
    init(_ kind: NextHopServer, on port: UInt16, beside instance: Instance, sink: UInt16) async throws {
        self.kind = kind
        folder = "\(instance.directory)/\(kind.rawValue)"
        chmod(instance.directory, 0o755)
        if kind == .postfix {
            postfix = try await Postfix(
                relayingTo: instance, on: port,
                parameters: [
                    "default_transport = smtp:[127.0.0.1]:\(sink)", "relay_transport = smtp:[127.0.0.1]:\(sink)",
                    "relay_domains = next.test", "relay_recipient_maps = inline:{ { box@next.test = x } }",
                    "smtpd_relay_restrictions = permit_auth_destination, reject",
                    "smtpd_discard_ehlo_keywords = chunking",
                ])
            process = nil
            return
        }
        postfix = nil
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        chmod(folder, 0o755)
        let place = "\(folder)/programs"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        switch kind {
        case .postfix, .exim:
            process = try Self.exim(folder, place, port, sink, instance)
        case .opensmtpd:
            process = try Self.opensmtpd(folder, place, port, sink, instance)
        case .dovecot:
            process = try Self.dovecot(folder, place, port, instance)
        }
        try await waitUntil("\(kind.rawValue) listens", details: { self.log }) {
            if let status = self.process?.poll() { throw HarnessError("\(kind.rawValue) ended: \(status) \(self.log)") }
            return isListening(port)
        }
    }

    var log: String {
        let files = ["log", "log/mainlog", "log/rejectlog"].map { "\(folder)/\($0)" }
        let texts = files.map { String(decoding: FileManager.default.contents(atPath: $0) ?? Data(), as: UTF8.self) }
        return (process?.output ?? "") + texts.joined() + (postfix?.log ?? "")
    }

    /// Ends it and waits for its children.
    func stop() async throws {
        if let postfix { return try await postfix.stop() }
        for (pid, command) in ProcessTable.processes(naming: folder) where !command.hasPrefix("/usr/bin/unshare") {
            kill(pid, SIGTERM)
        }
        try await waitUntil("\(kind.rawValue)'s processes end") { ProcessTable.processes(naming: self.folder).isEmpty }
    }

    // MARK: Exim

    private static func exim(
        _ folder: String, _ place: String, _ port: UInt16, _ sink: UInt16, _ instance: Instance
    ) throws -> TestProcess {
        let program = "\(place)/usr/sbin/exim4"
        let unpacked = root(of: Programs.exim)
        let libraries = Programs.eximLibraries.replacingOccurrences(of: unpacked, with: place)
        let accounts = try PeerAccounts(["Debian-exim"], in: folder)
        let id = accounts.id(of: "Debian-exim")
        for name in ["spool", "log"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
            chown("\(folder)/\(name)", id, id)
        }
        chown(folder, id, id)
        let text = """
            primary_hostname = exim.next.test
            exim_path = \(program)
            spool_directory = \(folder)/spool
            log_file_path = \(folder)/log/%slog
            log_selector = +smtp_confirmation
            keep_environment = LD_LIBRARY_PATH
            no_message_logs
            daemon_smtp_ports = \(port)
            local_interfaces = 127.0.0.1
            pid_file_path = \(folder)/spool/daemon.pid
            accept_8bitmime
            dsn_advertise_hosts = *
            tls_advertise_hosts =
            acl_smtp_rcpt = check
            acl_smtp_data = accept
            begin acl
            check:
              accept recipients = box@next.test
              deny message = 5.1.1 no such user
            begin routers
            all:
              driver = manualroute
              route_list = * 127.0.0.1
              self = send
              transport = out
            begin transports
            out:
              driver = smtp
              port = \(sink)
              allow_localhost
              hosts_try_dane =
              hosts_avoid_tls = *
            begin retry
            * * F,1h,1m

            """
        try text.write(toFile: "\(folder)/exim.conf", atomically: true, encoding: .utf8)
        let (starter, arguments) = accounts.command(
            program, ["-C", "\(folder)/exim.conf", "-bdf", "-q10s"], mounting: [(unpacked, place)])
        return try instance.spawn(starter, arguments, environment: ["LD_LIBRARY_PATH": libraries])
    }

    // MARK: OpenSMTPD

    private static func opensmtpd(
        _ folder: String, _ place: String, _ port: UInt16, _ sink: UInt16, _ instance: Instance
    ) throws -> TestProcess {
        let accounts = try PeerAccounts(["opensmtpd", "opensmtpq"], in: folder)
        // Its places are compiled in.
        var mounts = [(root(of: Programs.opensmtpd), place)]
        for (name, target, inner) in [
            ("spool", "/var/spool", "smtpd"), ("lib", "/var/lib", "opensmtpd/empty"), ("run", "/run", "x"),
        ] {
            try FileManager.default.createDirectory(
                atPath: "\(folder)/\(name)/\(inner)", withIntermediateDirectories: true)
            mounts.append(("\(folder)/\(name)", target))
        }
        chmod("\(folder)/spool/smtpd", 0o711)
        let text = """
            listen on 127.0.0.1 port \(port) hostname opensmtpd.next.test
            action "out" relay host "smtp://127.0.0.1:\(sink)"
            match from any for rcpt-to "box@next.test" action "out"

            """
        let file = "\(folder)/smtpd.conf"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        chmod(file, 0o600)
        let (starter, arguments) = accounts.command(
            "\(place)/usr/sbin/smtpd", ["-d", "-f", file], mounting: mounts)
        return try instance.spawn(starter, arguments)
    }

    // MARK: Dovecot

    private static func dovecot(
        _ folder: String, _ place: String, _ port: UInt16, _ instance: Instance
    ) throws -> TestProcess {
        let accounts = try PeerAccounts(["dovecot", "dovenull", "vmail"], in: folder)
        let mail = accounts.id(of: "vmail")
        try FileManager.default.createDirectory(atPath: "\(folder)/mail", withIntermediateDirectories: true)
        chown("\(folder)/mail", mail, mail)
        let libexec = "\(place)/usr/lib/dovecot"
        try "box::::::\n".write(toFile: "\(folder)/users", atomically: true, encoding: .utf8)
        chmod("\(folder)/users", 0o644)
        let text = """
            base_dir = \(folder)/run
            state_dir = \(folder)/state
            log_path = \(folder)/log
            protocols = lmtp
            ssl = no
            listen = 127.0.0.1
            libexec_dir = \(libexec)
            mail_plugin_dir = \(libexec)/modules
            mail_location = maildir:\(folder)/mail/%n
            mail_uid = \(mail)
            mail_gid = \(mail)
            first_valid_uid = \(mail)
            first_valid_gid = \(mail)
            default_internal_user = dovecot
            default_internal_group = dovecot
            default_login_user = dovenull
            auth_username_format = %n
            import_environment = LD_LIBRARY_PATH ZMAILER_TEST_INSTANCE
            passdb {
              driver = static
              args = nopassword=y
            }
            userdb {
              driver = passwd-file
              args = \(folder)/users
            }
            service lmtp {
              inet_listener lmtp {
                address = 127.0.0.1
                port = \(port)
              }
            }

            """
        try text.write(toFile: "\(folder)/dovecot.conf", atomically: true, encoding: .utf8)
        let (starter, arguments) = accounts.command(
            "\(place)/usr/sbin/dovecot", ["-F", "-c", "\(folder)/dovecot.conf"],
            mounting: [(root(of: Programs.dovecot), place)])
        return try instance.spawn(starter, arguments, environment: ["LD_LIBRARY_PATH": libexec])
    }

    /// What Dovecot has stored, LF lines.
    var stored: [String] { Maildir(path: "\(folder)/mail/box").texts }

    /// The folder that has `usr`.
    private static func root(of program: String) -> String {
        URL(fileURLWithPath: program).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
    }
}
