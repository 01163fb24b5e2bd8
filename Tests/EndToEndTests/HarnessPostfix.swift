import Foundation
import Glibc

/// Debian's Postfix, unpacked by scripts/peers, as a mail system of its own that relays all to an instance.
final class Postfix {
    /// What it speaks with the instance.
    enum Transport: String {
        case smtp
        case lmtp
    }

    /// Where its smtpd listens.
    let port: UInt16
    private let instance: Instance
    private let folder: String
    private let process: TestProcess

    /// It listens when this returns.
    ///
    /// - Parameter parameters: lines of main.cf in place of those of the same names.
    init(
        relayingTo instance: Instance, by transport: Transport = .smtp, tls: PeerTLS = .none, login: PeerLogin? = nil,
        on port: UInt16? = nil, parameters: [String] = []
    ) async throws {
        self.instance = instance
        folder = "\(instance.directory)/postfix"
        self.port = try port ?? FreePorts.take()
        let accounts = try Self.makeFolders(folder)
        chmod(instance.directory, 0o755)
        let main = Self.mainConfiguration(folder, instance, transport, tls, login, besides: parameters)
        try main.write(
            toFile: "\(folder)/etc/main.cf", atomically: true, encoding: .utf8)
        try Self.services(self.port).write(toFile: "\(folder)/etc/master.cf", atomically: true, encoding: .utf8)
        let (program, arguments) = accounts.command(
            "\(Self.programs)/lib/postfix/sbin/master", ["-c", "\(folder)/etc"])
        process = try instance.spawn(
            program, arguments, environment: ["LD_LIBRARY_PATH": Programs.postfixLibraries])
        let process = process
        let log = "\(folder)/log"
        try await waitUntil("Postfix listens", details: { process.output + Self.read(log) }) {
            if let status = process.poll() { throw HarnessError("Postfix ended: \(status) \(process.output)") }
            return isListening(self.port)
        }
    }

    /// Ends it and waits for its children.
    func stop() async throws {
        guard let pid = pid_t(Self.read("\(folder)/queue/pid/master.pid").filter(\.isNumber)), pid > 1 else {
            throw HarnessError("Postfix has no pid file\n\(log)")
        }
        kill(pid, SIGTERM)
        try await process.waitForExit()
        try await waitUntil("Postfix's processes end") {
            ProcessTable.processes(naming: self.folder).isEmpty
        }
    }

    var log: String { Self.read("\(folder)/log") }

    private static func read(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }

    /// The folder that has `sbin` and `lib/postfix`.
    private static var programs: String {
        URL(fileURLWithPath: Programs.postfixLibraries).deletingLastPathComponent().deletingLastPathComponent().path
    }

    private static func makeFolders(_ folder: String) throws -> PeerAccounts {
        func make(_ path: String, _ mode: mode_t, _ user: uid_t = 0, _ group: gid_t = 0) throws {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            guard chmod(path, mode) == 0, chown(path, user, group) == 0 else {
                throw HarnessError("\(path): \(String(cString: strerror(errno)))")
            }
        }
        for name in ["", "/etc", "/queue", "/queue/pid"] { try make(folder + name, 0o755) }
        let accounts = try PeerAccounts(["postfix", "postdrop"], in: folder)
        let (user, drop) = (accounts.id(of: "postfix"), accounts.id(of: "postdrop"))
        for name in [
            "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved",
            "trace",
        ] { try make("\(folder)/queue/\(name)", 0o700, user) }
        try make("\(folder)/queue/maildrop", 0o730, user, drop)
        try make("\(folder)/queue/public", 0o710, user, drop)
        try make("\(folder)/data", 0o700, user)
        return accounts
    }

    private static func mainConfiguration(
        _ folder: String, _ instance: Instance, _ transport: Transport, _ tls: PeerTLS, _ login: PeerLogin?,
        besides parameters: [String]
    ) -> String {
        var lines = [
            "compatibility_level = 3.6", "queue_directory = \(folder)/queue", "data_directory = \(folder)/data",
            "daemon_directory = \(programs)/lib/postfix/sbin", "command_directory = \(programs)/sbin",
            "meta_directory = \(folder)/etc", "shlib_directory = \(Programs.postfixLibraries)",
            "import_environment = MAIL_CONFIG TZ LANG=C LD_LIBRARY_PATH",
            "export_environment = TZ MAIL_CONFIG LANG LD_LIBRARY_PATH", "mail_owner = postfix",
            "setgid_group = postdrop", "myhostname = postfix.client.test", "mydestination =",
            "mynetworks = 127.0.0.0/8", "inet_interfaces = 127.0.0.1", "inet_protocols = ipv4",
            "smtpd_peername_lookup = no", "disable_dns_lookups = yes", "alias_maps =", "alias_database =",
            "local_recipient_maps =", "smtpd_relay_restrictions = permit_mynetworks, reject",
            "default_transport = \(transport.rawValue):[127.0.0.1]:\(instance.port)", "maillog_file = \(folder)/log",
            "maillog_file_prefixes = \(folder)", "smtpd_tls_security_level = none", "smtp_tls_loglevel = 1",
            "message_size_limit = 0", "smtputf8_enable = yes", "minimal_backoff_time = 1s", "queue_run_delay = 1s",
            "smtp_tls_fingerprint_digest = sha256",
        ]
        switch tls {
        case .none: lines.append("smtp_tls_security_level = none")
        case .starttls, .implicit:
            lines += [
                "smtp_tls_security_level = secure", "smtp_tls_secure_cert_match = mail.example.test",
                "smtp_tls_CAfile = \(instance.certificate)",
                "smtp_tls_wrappermode = \(tls == .implicit ? "yes" : "no")",
            ]
        }
        if let login {
            lines += [
                "smtp_sasl_auth_enable = yes", "smtp_sasl_security_options = noanonymous",
                "smtp_sasl_password_maps = inline:{ {[127.0.0.1]:\(instance.port)=\(login.user):\(login.password)} }",
            ]
        }
        // The last of two holds, but not without a warning.
        let names = Set(parameters.map { $0.prefix { $0 != " " } })
        lines.removeAll { names.contains($0.prefix { $0 != " " }) }
        return (lines + parameters).joined(separator: "\n") + "\n"
    }

    /// master.cf: service, type, private, unprivileged, chroot, wakeup, processes, command.
    private static func services(_ port: UInt16) -> String {
        var lines = [
            "127.0.0.1:\(port) inet n - n - - smtpd", "pickup unix n - n 60 1 pickup", "cleanup unix n - n - 0 cleanup",
            "qmgr unix n - n 300 1 qmgr", "tlsmgr unix - - n 1000? 1 tlsmgr", "rewrite unix - - n - - trivial-rewrite",
            "verify unix - - n - 1 verify", "flush unix n - n 1000? 0 flush", "proxymap unix - - n - - proxymap",
            "proxywrite unix - - n - 1 proxymap", "showq unix n - n - - showq", "discard unix - - n - - discard",
            "local unix - n n - - local", "virtual unix - n n - - virtual", "lmtp unix - - n - - lmtp",
            "anvil unix - - n - 1 anvil", "scache unix - - n - 1 scache", "postlog unix-dgram n - n - 1 postlogd",
        ]
        for name in ["bounce", "defer", "trace"] { lines.append("\(name) unix - - n - 0 bounce") }
        for name in ["error", "retry"] { lines.append("\(name) unix - - n - - error") }
        for name in ["smtp", "relay"] { lines.append("\(name) unix - - n - - smtp") }
        return lines.joined(separator: "\n") + "\n"
    }
}

extension Instance {
    /// One message that a client gives to a Postfix, which relays it to this instance; octet for octet.
    @discardableResult
    func postfixRelay(
        from sender: String = "sender@client.test", to recipients: String..., message: [UInt8], tls: PeerTLS = .none,
        login: PeerLogin? = nil, parameters: String = ""
    ) async throws -> String {
        let postfix = try await Postfix(relayingTo: self, tls: tls, login: login)
        let client = try Connection.greeted(port: postfix.port)
        let reply = try client.transact(from: sender, to: recipients, message: message, parameters: parameters)
        guard reply.code == 250 else { throw HarnessError("Postfix: \(reply)\n\(postfix.log)") }
        try await waitUntil("Postfix relays it", details: { postfix.log }) {
            if postfix.log.contains("status=bounced") { throw HarnessError(postfix.log) }
            return postfix.log.contains("status=sent")
        }
        try await postfix.stop()
        return postfix.log
    }
}
