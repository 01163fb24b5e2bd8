import ChildProcesses
import Configuration
import Glibc
import ProgramKit
import Routing
import Tables

/// `zmailer newdb`: checks the aliases and builds the policy database by `$MAILBIN/policy-builder.sh`.
public enum NewDatabases {
    /// What the instance has instead of a database type; `nil`: its DBTYPE is right. The default is gdbm.
    public static func typeProblem(_ environment: ZEnvironment) -> String? {
        guard let name = environment["DBTYPE"], DatabaseType(name: name) == nil else { return nil }
        return "\(environment["ZCONFIG"] ?? ""): DBTYPE: '\(name)' is not supported; valid are \(DatabaseType.listing)"
    }

    /// Mistakes go to standard error, what was built to standard output.
    ///
    /// - Returns: of both, the first that is not `ok`.
    public static func build(_ environment: ZEnvironment, isSilent: Bool = false) -> ExitCode {
        if let problem = typeProblem(environment) {
            Program.print(problem, to: 2)
            return .configuration
        }
        // Independent of each other: what is wrong with one keeps the other from nothing.
        let aliases = checkAliases(environment, isSilent: isSilent)
        let policy = buildPolicy(environment, isSilent: isSilent)
        return policy == .ok ? aliases : policy
    }

    /// The database of one text file, beside it: `newdb [-l] [-a] [-s] file`.
    public static func build(
        file: String, _ environment: ZEnvironment, foldsToLower: Bool, hasAliasForm: Bool, isSilent: Bool
    ) -> ExitCode {
        if let problem = typeProblem(environment) {
            Program.print(problem, to: 2)
            return .configuration
        }
        let name = environment["DBTYPE"] ?? "gdbm"
        var request = DatabaseBuilder.Request()
        request.type = DatabaseType(name: name) ?? .gdbm
        request.basename = file
        request.input = file
        request.form = hasAliasForm ? .aliases : .plain
        request.fold = foldsToLower ? .lower : .none
        if let note = DatabaseType.note(name: name), !isSilent { Program.print(note, to: 2) }
        return MakedbProgram.build(request, isSilent: isSilent)
    }

    private static func checkAliases(_ environment: ZEnvironment, isSilent: Bool) -> ExitCode {
        let path = "\(environment.mailvar)/db/aliases"
        guard access(path, F_OK) == 0 || errno != ENOENT else { return .ok }
        let octets: [UInt8]
        do throws(FileOctets.Failure) {
            octets = try FileOctets.read(path, limit: 64 << 20)
        } catch {
            Program.print(error.description, to: 2)
            return .noInput
        }
        do throws(TableErrors) {
            let table = try AliasTable.parse(octets, file: path, check: AliasTarget.problem)
            if !isSilent {
                Program.print("\(path): \(table.entries.count) aliases, right; the router reads them as they are")
            }
            return .ok
        } catch {
            Program.print(error.description, to: 2)
            return .dataError
        }
    }

    private static func buildPolicy(_ environment: ZEnvironment, isSilent: Bool) -> ExitCode {
        let path = "\(environment.mailbin)/policy-builder.sh"
        var values = ["ZCONFIG=\(environment["ZCONFIG"] ?? ZEnvironment.defaultPath)"]
        let passedOn = ["PATH=", "TZ=", "TMPDIR=", "POLICY_BUILDER_WAIT="]
        values += Program.inheritedEnvironment.filter { variable in passedOn.contains { variable.hasPrefix($0) } }
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        guard null >= 0 else {
            Program.print("/dev/null: \(String(cString: strerror(errno)))", to: 2)
            return .osError
        }
        defer { close(null) }
        let request = ChildRequest(
            path: path, arguments: [], environment: values, descriptors: [null, isSilent ? null : 1, 2])
        do throws(SpawnError) {
            let child = try ChildProcess.spawn(request)
            while true {
                guard let exit = child.wait(milliseconds: 60_000) else { continue }
                switch exit {
                case .code(let code): return ExitCode(rawValue: code) ?? .software
                case .signal(let number):
                    Program.print("\(path): ended by signal \(number)", to: 2)
                    return .software
                }
            }
        } catch {
            Program.print(error.description, to: 2)
            return .unavailable
        }
    }
}
