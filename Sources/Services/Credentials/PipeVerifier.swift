import CPosix
import ChildProcesses
import Glibc
import SASL

/// `PARAM SMTP-auth-pipe`: a program gets the user's name as its argument, and the password and LF on its standard input; no shell
/// sees either. Exit code 0 lets the user in, 75 (EX_TEMPFAIL) and a signal say nothing about him, any other refuses him. The first
/// line that it writes is for the log.
struct PipeVerifier {
    let program: String
    let environment: [String]
    /// Then it is killed, with all of its process group.
    let milliseconds: Int64

    init(program: String, settings: CredentialSettings) {
        self.program = program
        var environment = ["SHELL=/bin/sh", "IFS= \t\n", "PATH=\(settings.path)", "ZCONFIG=\(settings.zconfig)"]
        if let zone = getenv("TZ") { environment.append("TZ=\(String(cString: zone))") }
        self.environment = environment
        milliseconds = Int64(settings.deadline) * 1000
    }

    func check(_ user: UserName, _ secret: Secret, _ cancellation: Cancellation?) -> CredentialVerdict {
        guard user.octets.first != UInt8(ascii: "-") else {
            return .refused(.pipe, "a name that begins with - would be an option of the program")
        }
        // It would read the first line for the whole.
        guard secret.withOctets({ !$0.contains(0x0a) }) else {
            return .refused(.pipe, "the password holds a line feed")
        }
        if let problem { return .unavailable(.pipe, problem) }
        do throws(Trouble) {
            let run = try start(user, secret)
            let (exit, output) = run.finish(milliseconds: milliseconds, cancellation)
            return verdict(exit, output)
        } catch {
            return .unavailable(.pipe, error.reason)
        }
    }

    private func verdict(_ exit: ChildProcess.Exit?, _ output: String) -> CredentialVerdict {
        switch exit {
        case .code(0): .accepted(.pipe, as: nil, output)
        case .code(75): .unavailable(.pipe, output.isEmpty ? "\(program) says: not now" : output)
        case .code(let code): .refused(.pipe, output.isEmpty ? "exit code \(code)" : output)
        case .signal(let number): .unavailable(.pipe, "\(program) was ended by signal \(number)")
        case nil: .unavailable(.pipe, "\(program) took longer than \(milliseconds / 1000) s")
        }
    }

    struct Trouble: Error {
        let reason: String
    }

    /// We may be root: what anybody can change is not started.
    private var problem: String? {
        var information = stat()
        guard stat(program, &information) == 0 else { return "\(program): \(String(cString: strerror(errno)))" }
        guard information.st_mode & 0o002 == 0, information.st_uid == 0 || information.st_uid == geteuid() else {
            return "\(program): can be changed by others; it must be root's, and not writable for everybody"
        }
        return nil
    }

    private func start(_ user: UserName, _ secret: Secret) throws(Trouble) -> PipeRun {
        let input = try DescriptorPair()
        let output = try DescriptorPair()
        // A pipe takes so much at once: there is nobody to wait for, and no SIGPIPE as long as we have its other end.
        let isWritten = secret.withCString(end: [0x0a]) { text, length in
            write(input.writer, text, length) == length
        }
        guard isWritten else { throw Trouble(reason: "pipe: \(String(cString: strerror(errno)))") }
        var request = ChildRequest(
            path: program, arguments: [user.text], environment: environment,
            descriptors: [input.reader, output.writer, output.writer])
        request.directory = "/"
        request.startsSession = true
        request.parentDeathSignal = SIGKILL
        do throws(SpawnError) {
            let child = try ChildProcess.spawn(request)
            output.closeWriter()
            return PipeRun(child: child, output: output)
        } catch {
            throw Trouble(reason: error.description)
        }
    }
}

/// A pipe whose ends are closed at the latest with it.
final class DescriptorPair {
    let reader: Int32
    private(set) var writer: Int32

    init() throws(PipeVerifier.Trouble) {
        var ends: [Int32] = [-1, -1]
        guard cposix_pipe(&ends) == 0 else {
            throw PipeVerifier.Trouble(reason: "pipe: \(String(cString: strerror(errno)))")
        }
        reader = ends[0]
        writer = ends[1]
    }

    deinit {
        close(reader)
        closeWriter()
    }

    func closeWriter() {
        if writer >= 0 { close(writer) }
        writer = -1
    }
}
