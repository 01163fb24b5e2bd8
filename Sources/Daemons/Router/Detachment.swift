import ChildProcesses
import Glibc
import ProgramKit

/// Leaving the terminal: a re-exec in a session of its own; a fork would lose the runtime's threads.
enum Detachment {
    /// Where the detached process tells the starting one that it runs.
    private static let statusDescriptor: Int32 = 3

    /// The exit code of the starting process.
    static func start() throws(SpawnError) -> Int32 {
        var ends: [Int32] = [-1, -1]
        let path = Program.executablePath()
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        guard pipe(&ends) == 0, null >= 0 else { return ExitCode.osError.rawValue }
        var request = ChildRequest(
            path: path, arguments: Array(CommandLine.arguments.dropFirst()) + ["--detached"],
            environment: Program.inheritedEnvironment, descriptors: [null, 1, 2, ends[1]])
        request.startsSession = true
        let child = try ChildProcess.spawn(request)
        close(ends[1])
        var octet: UInt8 = 0
        while true {
            let count = read(ends[0], &octet, 1)
            if count > 0 { return 0 }
            if count == 0 || errno != EINTR { break }
        }
        // It ended before it ran; its words are on our standard error.
        switch child.wait(milliseconds: 5000) {
        case .code(let code)?: return code
        case .signal?, nil: return ExitCode.software.rawValue
        }
    }

    /// In the detached process: it runs. The terminal is let go.
    static func report() {
        var octet: UInt8 = 1
        _ = write(statusDescriptor, &octet, 1)
        close(statusDescriptor)
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        guard null >= 0 else { return }
        dup2(null, 1)
        dup2(null, 2)
        close(null)
    }
}
