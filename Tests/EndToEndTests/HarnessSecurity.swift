import Foundation
import Glibc

extension Instance.Settings {
    /// Does `change` behind what is prepared already.
    mutating func prepareAlso(_ change: @escaping (Instance) throws -> Void) {
        let before = prepare
        prepare = { instance in
            try before(instance)
            try change(instance)
        }
    }

    /// An authority in `var`, which has signed `server.pem` for `mail.example.test`, for STARTTLS.
    mutating func useTLS(_ parameters: [String] = [], _ key: TestAuthority.Key = .ecdsa) {
        smtpserverParameters += [
            "use-tls", "tls-cert-file $MAILVAR/server.pem", "tls-key-file $MAILVAR/server.key",
            "tls-CAfile $MAILVAR/authority.pem",
        ]
        smtpserverParameters += parameters
        prepareAlso { instance in
            try instance.makeAuthority().issue("server", key, names: ["mail.example.test", "localhost"])
        }
    }

    /// Mail for `elsewhere.test`, which is none of ours, goes to this sink.
    mutating func useNextHop(_ sink: Sink) {
        routes.append("elsewhere.test smtpx![127.0.0.1]:\(sink.port)")
    }
}

extension Instance {
    /// Of the certificates in `var`.
    func makeAuthority() throws -> TestAuthority { try TestAuthority(in: "\(directory)/var") }

    /// A file in `var`, with this mode, that can be run at once.
    ///
    /// A process that another test starts just now has our descriptor until its exec, and what is open for writing cannot be run
    /// (ETXTBSY). A read lease is granted when nobody has the file open for writing.
    func install(_ text: String, as name: String, mode: mode_t) throws {
        let path = "\(directory)/var/\(name)"
        try write(text, to: "var/\(name)")
        guard chmod(path, mode) == 0 else { throw HarnessError("\(name): \(String(cString: strerror(errno)))") }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw HarnessError("\(name): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        let setLease: Int32 = 1024
        let deadline = ContinuousClock.now + .seconds(5)
        while fcntl(descriptor, setLease, F_RDLCK) != 0, errno == EAGAIN {
            guard ContinuousClock.now < deadline else { throw HarnessError("\(name) stays open for writing") }
            usleep(1000)
        }
    }

    // MARK: what the log says

    /// Lines of an event, as `smtpserver` and its peers write them.
    func events(_ name: String) -> [Substring] {
        log.split(separator: "\n").filter { $0.contains(" \(name) ") || $0.hasSuffix(" \(name)") }
    }

    /// The newest line of an event that holds all of `parts`.
    @discardableResult
    func waitForEvent(_ name: String, _ parts: String..., deadline: Duration = .seconds(30)) async throws -> Substring {
        var found: Substring?
        try await waitUntil("a line \(name) \(parts)", deadline: deadline, details: { self.report }) {
            found = events(name).last { line in parts.allSatisfy { line.contains($0) } }
            return found != nil
        }
        guard let found else { throw HarnessError("no line \(name)") }
        return found
    }

    // MARK: processes

    /// Those that have the sessions.
    var workers: [pid_t] { pids(of: "smtpserver", having: "--worker") }

    /// The process that holds the sockets.
    var master: pid_t? {
        let others = Set(workers + pids(of: "smtpserver", having: "--check-credentials"))
        return pids(of: "smtpserver").first { !others.contains($0) }
    }

    private func pids(of name: String, having option: String) -> [pid_t] {
        ProcessTable.processes(naming: directory).filter { process in
            let words = process.command.split(separator: " ")
            return words.first.map { $0.hasSuffix("/\(name)") } == true && words.contains { $0 == option }
        }.map(\.pid)
    }

    // MARK: openssl(1)

    /// EHLO and QUIT within TLS by openssl's s_client, with all that it tells of the session, blanks removed: `Cipheris…`,
    /// `subject=CN=…`.
    func tlsSession(
        _ arguments: [String] = [], port: UInt16? = nil, tls: PeerTLS = .starttls
    ) async throws -> (status: TestProcess.ExitStatus, output: String) {
        let file = try scratch(Array("EHLO client.test\r\nQUIT\r\n".utf8))
        let start = tls == .starttls ? ["-starttls", "smtp", "-name", "client.test"] : []
        let result = try await run(
            Programs.openssl,
            [
                "s_client", "-connect", "127.0.0.1:\(port ?? self.port)", "-ign_eof", "-CAfile",
                "\(directory)/var/authority.pem", "-verify_return_error",
            ] + start + arguments,
            input: file)
        return (result.status, result.output.filter { $0 != " " })
    }
}
