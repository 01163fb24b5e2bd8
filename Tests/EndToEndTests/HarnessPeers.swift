import Foundation
import Glibc

/// Real mail programs that talk to an instance.
extension Instance {
    /// One message by swaks; its exit status and transcript.
    @discardableResult
    func swaks(from sender: String = "sender@client.test", to recipients: String..., arguments: [String] = [])
        async throws -> (status: TestProcess.ExitStatus, output: String)
    {
        try await run(
            Programs.swaks,
            ["--server", "127.0.0.1:\(port)", "--helo", "client.test", "--from", sender]
                + ["--to", recipients.joined(separator: ",")] + arguments)
    }

    /// `count` messages by Postfix's smtp-source, each with a sender-side subject of its own.
    @discardableResult
    func smtpSource(
        count: Int, sessions: Int = 10, size: Int = 1024, from sender: String = "sender@client.test",
        to recipient: String, arguments: [String] = []
    ) async throws -> (status: TestProcess.ExitStatus, output: String) {
        try await run(
            Programs.smtpSource,
            [
                "-c", "-d", "-m", String(count), "-s", String(sessions), "-l", String(size), "-f", sender, "-t",
                recipient,
            ]
                + arguments + ["inet:127.0.0.1:\(port)"],
            environment: ["LD_LIBRARY_PATH": Programs.postfixLibraries])
    }

    /// Postfix's smtp-sink on a port of its own; it listens when this returns.
    func smtpSink(port: UInt16? = nil, arguments: [String] = []) async throws -> (process: TestProcess, port: UInt16) {
        let chosen = try port ?? FreePorts.take()
        // As root it insists on a user to become.
        let user = getuid() == 0 ? ["-u", "nobody"] : []
        let process = try spawn(
            Programs.smtpSink, user + arguments + ["inet:127.0.0.1:\(chosen)", "1024"],
            environment: ["LD_LIBRARY_PATH": Programs.postfixLibraries])
        try await waitUntil("smtp-sink listens", details: { process.output }) {
            if let status = process.poll() { throw HarnessError("smtp-sink ended: \(status) \(process.output)") }
            return isListening(chosen)
        }
        return (process, chosen)
    }
}
