import Foundation
import Glibc
import Testing

/// What scripts/peers has unpacked of Debian's milters and of dkimpy.
enum MilterPrograms {
    static let folder: String = {
        let environment = ProcessInfo.processInfo.environment
        if let folder = environment["ZMAILER_TEST_MILTERS"] { return folder }
        let cache = environment["XDG_CACHE_HOME"] ?? (environment["HOME"] ?? "/root") + "/.cache"
        return cache + "/zmailer-peers/milters"
    }()

    static var isAvailable: Bool {
        ["usr/sbin/opendkim", "usr/sbin/opendmarc"].allSatisfy { access("\(folder)/\($0)", X_OK) == 0 }
            && access("\(dkimpy)/dkim/__init__.py", R_OK) == 0 && access(python, X_OK) == 0
    }

    /// For the list of skipped tests.
    static let requirement: Comment = "needs OpenDKIM, OpenDMARC and dkimpy, which scripts/peers could not get"

    static let python = "/usr/bin/python3"
    static var dkimpy: String { "\(folder)/usr/lib/python3/dist-packages" }

    /// Of the programs only.
    static var environment: [String: String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/usr/lib")) ?? []
        let folders = names.filter { $0.hasSuffix("-linux-gnu") }.map { "\(folder)/usr/lib/\($0)" }
        return ["LD_LIBRARY_PATH": (folders + ["\(folder)/usr/lib"]).joined(separator: ":")]
    }
}

/// A key pair, its public half in a file that takes the place of the DNS.
struct DKIMKey {
    let domain: String
    let selector: String
    let privateKey: String
    /// `selector._domainkey.domain v=DKIM1; …`, one a line.
    let records: String

    init(in folder: String, domain: String = "example.test", selector: String = "sel") async throws {
        self.domain = domain
        self.selector = selector
        privateKey = "\(folder)/dkim.pem"
        records = "\(folder)/dkim.records"
        let made = try await MilterPeerFolder.run(
            Programs.openssl, ["genrsa", "-out", privateKey, "2048"], in: folder)
        guard made.status == .exited(0) else { throw HarnessError("openssl genrsa: \(made.output)") }
        let shown = try await MilterPeerFolder.run(Programs.openssl, ["rsa", "-in", privateKey, "-pubout"], in: folder)
        let lines = shown.output.split(separator: "\n").map(String.init)
        guard let start = lines.firstIndex(of: "-----BEGIN PUBLIC KEY-----"),
            let end = lines.firstIndex(of: "-----END PUBLIC KEY-----"), start < end
        else { throw HarnessError("openssl rsa: \(shown.output)") }
        let key = lines[(start + 1)..<end].joined()
        try "\(selector)._domainkey.\(domain) v=DKIM1; k=rsa; p=\(key)\n".write(
            toFile: records, atomically: true, encoding: .utf8)
    }

    /// What dkimpy says to the signature of a message with CRLF line ends.
    func verifies(_ message: [UInt8], in folder: String) async throws -> Bool {
        let script = """
            import sys, dkim
            records = dict(line.split(" ", 1) for line in open(sys.argv[1]).read().splitlines())
            def text(name, timeout=5):
                name = name.decode() if isinstance(name, bytes) else name
                return records.get(name.rstrip("."), "").encode() or None
            print("dkimpy:", dkim.verify(sys.stdin.buffer.read(), dnsfunc=text))
            """
        let file = "\(folder)/message.\(UUID().uuidString)"
        try Data(message).write(to: URL(fileURLWithPath: file))
        let result = try await MilterPeerFolder.run(
            MilterPrograms.python, ["-c", script, records], environment: ["PYTHONPATH": MilterPrograms.dkimpy],
            input: file, in: folder)
        if result.output.contains("dkimpy: True") { return true }
        guard result.output.contains("dkimpy: False") else { throw HarnessError("dkimpy: \(result.output)") }
        return false
    }
}

private enum MilterPeerFolder {
    static func run(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], input: String? = nil,
        in folder: String
    ) async throws -> (status: TestProcess.ExitStatus, output: String) {
        let process = try TestProcess(
            program, arguments, environment: environment, input: input,
            outputPath: "\(folder)/output.\(UUID().uuidString)")
        let status = try await process.waitForExit()
        return (status, process.output)
    }
}

/// A milter of Debian in a folder of its own, on a Unix socket that anybody may use.
class MilterPeer {
    /// The path of its socket.
    let socket: String
    private let process: TestProcess

    /// What filter-milter's configuration calls it: `unix:/…`.
    var endpoint: String { "unix:\(socket)" }
    var log: String { process.output }

    /// It listens when this returns.
    fileprivate init(
        _ program: String, in folder: String, arguments: [String], configuration: String, configurationFile: String
    ) async throws {
        socket = "\(folder)/\(program).sock"
        chmod(folder, 0o755)
        try configuration.write(toFile: configurationFile, atomically: true, encoding: .utf8)
        process = try TestProcess(
            "\(MilterPrograms.folder)/usr/sbin/\(program)", arguments, environment: MilterPrograms.environment,
            outputPath: "\(folder)/\(program).log")
        let (process, socket) = (process, socket)
        try await waitUntil("\(program) listens", details: { process.output }) {
            if let status = process.poll() { throw HarnessError("\(program) ended: \(status)\n\(process.output)") }
            return MilterPeer.isListening(socket)
        }
    }

    private static func isListening(_ path: String) -> Bool {
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }

    /// Ends it by its process id.
    func stop() async throws {
        process.signal(SIGTERM)
        try await process.waitForExit()
    }
}

/// Debian's OpenDKIM.
final class OpenDKIMPeer: MilterPeer {
    /// It signs mail of the key's domain that comes from 127.0.0.1, and verifies all other.
    ///
    /// - Parameter canonicalization: `relaxed/relaxed` to `simple/simple`.
    init(
        in folder: String, key: DKIMKey, canonicalization: String = "relaxed/simple",
        authorityName: String = "mx.example.test"
    ) async throws {
        let file = "\(folder)/opendkim.conf"
        // The key's folder is below /tmp, where others may write.
        let configuration = """
            Socket local:\(folder)/opendkim.sock
            Mode sv
            Domain \(key.domain)
            Selector \(key.selector)
            KeyFile \(key.privateKey)
            RequireSafeKeys no
            Canonicalization \(canonicalization)
            InternalHosts 127.0.0.1
            TestPublicKeys \(key.records)
            AuthservID \(authorityName)
            AlwaysAddARHeader yes
            Background no
            AutoRestart no
            Syslog no
            UMask 000

            """
        try await super.init(
            "opendkim", in: folder, arguments: ["-f", "-x", file], configuration: configuration,
            configurationFile: file)
    }
}

/// Debian's OpenDMARC. It believes the Authentication-Results of `authorityName`, and refuses where a policy says so.
final class OpenDMARCPeer: MilterPeer {
    /// - Parameter records: `_dmarc.example.test v=DMARC1; p=reject`, one a line: they take the place of the DNS.
    init(in folder: String, records: [String], authorityName: String = "mx.example.test") async throws {
        let file = "\(folder)/opendmarc.conf"
        try (records.joined(separator: "\n") + "\n").write(
            toFile: "\(folder)/dmarc.records", atomically: true, encoding: .utf8)
        try "192.0.2.255\n".write(toFile: "\(folder)/dmarc.ignored", atomically: true, encoding: .utf8)
        let configuration = """
            Socket local:\(folder)/opendmarc.sock
            TestDNSData \(folder)/dmarc.records
            AuthservID \(authorityName)
            TrustedAuthservIDs \(authorityName)
            IgnoreHosts \(folder)/dmarc.ignored
            RejectFailures true
            SPFIgnoreResults false
            SPFSelfValidate false
            Background false
            Syslog false
            UMask 0000

            """
        try await super.init(
            "opendmarc", in: folder, arguments: ["-f", "-c", file], configuration: configuration,
            configurationFile: file)
    }
}
