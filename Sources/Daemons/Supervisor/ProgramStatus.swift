import Configuration
import Glibc
import ProgramKit

/// What can be seen of one daemon from outside: its locked pid file, its sockets.
public struct ProgramStatus: Hashable, Sendable {
    public let program: ManagedProgram
    /// Of the process that holds the pid file's lock; nil: it does not run.
    public let pid: pid_t?
    /// TCP addresses on which it listens.
    public let addresses: [String]
    /// Control sockets that do not answer, with the reason.
    public let silent: [String]

    public static func probe(_ program: ManagedProgram, _ environment: ZEnvironment) -> ProgramStatus {
        guard let pid = PidFile.holder(program.pidFile(environment)) else {
            return ProgramStatus(program: program, pid: nil, addresses: [], silent: [])
        }
        var silent: [String] = []
        for path in program.controlSockets(environment) {
            do throws(UnixStream.Failure) {
                _ = try UnixStream(connectingTo: path, seconds: 0)
            } catch {
                silent.append(error.description)
            }
        }
        let addresses = program.listensOnNetwork ? ListeningSockets.addresses(of: pid) : []
        return ProgramStatus(program: program, pid: pid, addresses: addresses, silent: silent)
    }

    public static func probeAll(_ environment: ZEnvironment) -> [ProgramStatus] {
        ManagedProgram.allCases.map { probe($0, environment) }
    }

    /// The process that started it, as far as it lives.
    var parent: pid_t? {
        // pid (name) state ppid …: the name may hold anything.
        pid.flatMap { ProcFile.read("/proc/\($0)/stat").split(separator: ")").last }?.split(separator: " ").dropFirst()
            .first.flatMap { pid_t($0) }
    }

    public var isReady: Bool {
        pid != nil && silent.isEmpty && (!program.listensOnNetwork || !addresses.isEmpty)
    }

    /// One line for a person: `smtpserver   up     pid 4711, listens on 127.0.0.1:2525`.
    public var line: String {
        let name = program.rawValue.padded(to: 12)
        guard let pid else { return "\(name) down" }
        var text = "\(name) \(isReady ? "up" : "starting")    pid \(pid)"
        if !addresses.isEmpty { text += ", listens on \(addresses.joined(separator: ", "))" }
        for reason in silent { text += ", does not answer: \(reason)" }
        if program.listensOnNetwork, addresses.isEmpty { text += ", listens on no address that can be seen" }
        return text
    }

    public var json: String {
        let pid = pid.map(String.init) ?? "null"
        let addresses = addresses.map { JSONValue.string($0).text }.joined(separator: ",")
        return "{\"program\":\"\(program.rawValue)\",\"pid\":\(pid),\"ready\":\(isReady),\"addresses\":[\(addresses)]}"
    }
}

extension String {
    func padded(to width: Int) -> String {
        count >= width ? self : self + String(repeating: " ", count: width - count)
    }
}
