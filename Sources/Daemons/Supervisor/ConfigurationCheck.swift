import ChildProcesses
import Configuration
import Glibc

/// Reads the configuration of every program of an instance, so that all mistakes are seen at once and before anything runs.
public enum ConfigurationCheck {
    /// The agents that the sample scheduler.conf names.
    static let agents = ["smtp", "mailbox", "errormail", "hold", "sm"]

    /// One line a mistake; empty: everything can be started. `warn` gets what the programs say beside that.
    public static func mistakes(_ environment: ZEnvironment, warn: (String) -> Void = { _ in }) -> [String] {
        var lines = missingPrograms(environment) + unknownTableType(environment) + unknownRestartLimit(environment)
        // Each daemon reads its own files: nobody else knows what is valid in them.
        for program in ManagedProgram.allCases where access(program.path(environment), X_OK) == 0 {
            lines += ownCheck(program.rawValue, program.path(environment), environment, warn)
        }
        // The agents that have configurations of their own, smtp-tls.conf and sm.conf.
        for name in ["smtp", "sm"] {
            let agent = "\(environment.mailbin)/ta/\(name)"
            if access(agent, X_OK) == 0 { lines += ownCheck(name, agent, environment, warn) }
        }
        return lines
    }

    private static func missingPrograms(_ environment: ZEnvironment) -> [String] {
        let file = environment["ZCONFIG"] ?? ""
        let paths =
            ManagedProgram.allCases.map { $0.path(environment) } + agents.map { "\(environment.mailbin)/ta/\($0)" }
        return paths.compactMap { path in
            guard access(path, X_OK) != 0 else { return nil }
            return "\(file): MAILBIN: \(path): \(String(cString: strerror(errno)))"
        }
    }

    /// The type of the policy database (`PARAM policydb $DBTYPE …`). Those of ZMailer that are not here are built as gdbm by
    /// makedb, but who opens the database has to know what it is.
    private static func unknownTableType(_ environment: ZEnvironment) -> [String] {
        guard let type = environment["DBTYPE"], !["gdbm", "text"].contains(type.lowercased()) else { return [] }
        let isReplaced = ["btree", "ndbm", "dbm", "bhash"].contains(type.lowercased())
        return [
            "\(environment["ZCONFIG"] ?? ""): DBTYPE: '\(type)' is not supported"
                + (isReplaced ? " (makedb builds gdbm in its place)" : "")
                + "; valid are gdbm, and text for a policy that is read from its sources"
        ]
    }

    private static func unknownRestartLimit(_ environment: ZEnvironment) -> [String] {
        guard RestartPolicy.limit(environment) == nil else { return [] }
        let text = environment["RESTARTLIMIT"] ?? ""
        return ["\(environment["ZCONFIG"] ?? ""): RESTARTLIMIT: '\(text)' is not a number from 1 to 3600 (seconds)"]
    }

    /// What `PROGRAM --check` says, if it does not end with 0.
    private static func ownCheck(
        _ name: String, _ path: String, _ environment: ZEnvironment, _ warn: (String) -> Void
    ) -> [String] {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return ["\(name): pipe: \(String(cString: strerror(errno)))"] }
        // Ours is not for the child: the shim closes what is not listed.
        defer { close(ends[0]) }
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(null) }
        let request = ChildRequest(
            path: path, arguments: ["--check", "-Z", environment["ZCONFIG"] ?? ""],
            environment: DaemonEnvironment.values(environment), descriptors: [null, ends[1], ends[1]])
        let child: ChildProcess
        do throws(SpawnError) {
            child = try ChildProcess.spawn(request)
        } catch {
            close(ends[1])
            return [error.description]
        }
        close(ends[1])
        let output = readAll(ends[0])
        guard let exit = child.wait(milliseconds: 10_000) else {
            child.signal(SIGKILL)
            _ = child.wait(milliseconds: 1000)
            return ["\(name) --check: no end within 10 s"]
        }
        if exit == .code(0) {
            if !output.isEmpty { warn(output) }
            return []
        }
        let lines = output.split(separator: "\n").map(String.init)
        return lines.isEmpty ? ["\(name) --check: \(exit)"] : lines
    }

    private static func readAll(_ descriptor: Int32) -> String {
        var octets: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        // 1 MiB of mistakes is enough for anybody; ten seconds without a word is no answer.
        while octets.count < 1 << 20 {
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, 10_000) > 0 else { break }
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            octets += chunk[..<count]
        }
        return String(decoding: octets, as: UTF8.self)
    }
}
