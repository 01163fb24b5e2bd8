import Glibc
import ProgramKit

/// Makes a new instance in a folder of its own from the sample files (`zmailer init`).
public struct InstanceMaker: Sendable {
    public var directory: String
    public var port: UInt16
    public var domain: String
    /// MAILBIN.
    public var programs: String
    /// Has `proto/` and `db/`.
    public var samples: String
    public var users = ["alice", "bob", "postmaster"]

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
        public let code: ExitCode
    }

    public init(directory: String, port: UInt16, domain: String, programs: String, samples: String) {
        self.directory = directory
        self.port = port
        self.domain = domain
        self.programs = programs
        self.samples = samples
    }

    private static let folders = ["share", "share/forms", "var", "var/db", "var/lists", "log", "mail"]
    private static let tables = [
        "localnames", "aliases", "routes", "users", "smtp-policy.src", "smtp-policy.relay", "smtp-policy.mx",
        "smtp-policy.spam",
    ]

    /// `zmailer.conf` is written last: what has one is complete.
    public func make() throws(Failure) {
        let configuration = "\(directory)/zmailer.conf"
        guard access(configuration, F_OK) != 0 else {
            throw Failure(
                description: "\(configuration) exists: this folder is an instance already", code: .cannotCreate)
        }
        try checkDomain()
        try makeFolder(directory, 0o755)
        for folder in Self.folders { try makeFolder("\(directory)/\(folder)", 0o755) }
        try makeFolder("\(directory)/postoffice", 0o750)

        for name in ["smtpserver.conf", "scheduler.conf", "smtp-tls.conf", "sm.conf"] {
            try write(read("\(samples)/proto/\(name)"), to: "\(directory)/share/\(name)")
        }
        let forms = "\(samples)/proto/forms"
        for name in ProcFile.names(in: forms) {
            try write(read("\(forms)/\(name)"), to: "\(directory)/share/forms/\(name)")
        }
        for name in Self.tables {
            var text = try read("\(samples)/db/\(name)")
            switch name {
            case "localnames": text += "\(domain)\n"
            case "smtp-policy.src": text = Self.forTrial(text)
            case "users": text += users.map { "\($0)\n" }.joined()
            default: break
            }
            try write(text, to: "\(directory)/var/db/\(name)")
        }
        try write(try settings(sample: read("\(samples)/proto/zmailer.conf")), to: configuration)
    }

    /// The sample with the values of this instance in the place of its own; its comments stay.
    func settings(sample: String) throws(Failure) -> String {
        let values: [(String, String)] = [
            ("ZCONFIG", "\(directory)/zmailer.conf"), ("MAILBIN", programs), ("MAILSHARE", "\(directory)/share"),
            ("MAILVAR", "\(directory)/var"), ("POSTOFFICE", "\(directory)/postoffice"), ("LOGDIR", "\(directory)/log"),
            ("HOSTNAME", "mail.\(domain)"), ("MAILDOMAIN", domain), ("SMTPADDRESS", "[127.0.0.1]"),
            ("SMTPPORT", String(port)),
            ("ACCOUNTS", "file:\(directory)/var/db/users"), ("MAILBOX", "maildir:\(directory)/mail/%u"),
        ]
        var lines = sample.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        // An instance runs as whoever starts it.
        if let index = lines.firstIndex(where: { $0.hasPrefix("TRUSTEDUSER=") }) { lines[index] = "#" + lines[index] }
        for (key, value) in values {
            let line = "\(key)=\(try Self.quoted(value))"
            if let index = lines.firstIndex(where: { $0.hasPrefix("\(key)=") || $0.hasPrefix("#\(key)=") }) {
                lines[index] = line
            } else {
                lines.append(line)
            }
        }
        return lines.joined(separator: "\n")
    }

    /// The sample policy with its first default pair: senders of a trial need not be in the DNS, and the DNS need not be there.
    static func forTrial(_ sample: String) -> String {
        func isDefault(_ line: Substring) -> Bool { line.hasPrefix(". ") || line.hasPrefix("[0.0.0.0]/0 ") }
        return sample.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            if isDefault(line) { return "#\(line)" }
            let isFirstPair = line.hasSuffix(" relaycustomer - relaytarget -") && line.hasPrefix("#")
            return isFirstPair && isDefault(line.dropFirst()) ? String(line.dropFirst()) : String(line)
        }.joined(separator: "\n")
    }

    /// A value that zmailer.conf reads back as it is.
    static func quoted(_ value: String) throws(Failure) -> String {
        guard value.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f && $0 != "'" }) else {
            throw Failure(description: "'\(value)': no quote and no control character can be in a path", code: .usage)
        }
        let plain = value.utf8.allSatisfy { octet in
            (48...57).contains(octet) || (65...90).contains(octet) || (97...122).contains(octet)
                || "/._-:%[]".utf8.contains(octet)
        }
        return plain ? value : "'\(value)'"
    }

    private func checkDomain() throws(Failure) {
        let labels = domain.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let isName = labels.allSatisfy { label in
            !label.isEmpty && label.count <= 63
                && label.allSatisfy { octet in
                    (48...57).contains(octet) || (65...90).contains(octet) || (97...122).contains(octet)
                        || octet == UInt8(ascii: "-")
                }
        }
        guard isName, domain.utf8.count <= 253 else {
            throw Failure(description: "'\(domain)' is no domain; valid is a name such as example.test", code: .usage)
        }
    }

    // MARK: Files

    private func makeFolder(_ path: String, _ mode: mode_t) throws(Failure) {
        if mkdir(path, mode) != 0, errno != EEXIST { throw Self.system(path) }
    }

    private func read(_ path: String) throws(Failure) -> String {
        do throws(FileOctets.Failure) {
            return String(decoding: try FileOctets.read(path, limit: 1 << 20), as: UTF8.self)
        } catch {
            throw Failure(description: error.description, code: .noInput)
        }
    }

    private func write(_ text: String, to path: String) throws(Failure) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Self.system(path) }
        defer { close(descriptor) }
        let octets = Array(text.utf8)
        guard Glibc.write(descriptor, octets, octets.count) == octets.count else { throw Self.system(path) }
    }

    private static func system(_ path: String) -> Failure {
        Failure(description: "\(path): \(String(cString: strerror(errno)))", code: .cannotCreate)
    }
}
