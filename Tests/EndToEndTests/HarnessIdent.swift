import Foundation
import Glibc

/// Debian's oidentd, unpacked by scripts/peers: the ident service (RFC 1413) of one address of a test's network. It tells the
/// user of each connection, but not that of `daemon`, who hides.
final class IdentService {
    private let process: TestProcess
    private let directory: String

    /// It answers at `address` when this returns.
    init(_ address: String, in network: TestNetwork) async throws {
        var template = Array("/tmp/zm-ident-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw HarnessError("mkdtemp: \(String(cString: strerror(errno)))") }
        let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        self.directory = directory
        // Its reader wants each brace on a line of its own.
        let configuration = """
            default {
            \tdefault {
            \t\tdeny hide
            \t}
            }
            user "daemon" {
            \tdefault {
            \t\tforce hide
            \t}
            }

            """
        try configuration.write(toFile: "\(directory)/oidentd.conf", atomically: false, encoding: .utf8)
        let (program, arguments) = network.command(
            Programs.oidentd,
            [
                "--foreground", "--nosyslog", "--debug", "-C", "\(directory)/oidentd.conf", "-a", address, "-u",
                "nobody",
                "-g", "nogroup",
            ])
        process = try TestProcess(
            program, arguments, environment: ["LD_LIBRARY_PATH": Programs.oidentdLibraries],
            outputPath: "\(directory)/output")
        let process = process
        try await waitUntil("oidentd answers", details: { process.output }) {
            if let status = process.poll() { throw HarnessError("oidentd ended: \(status)\n\(process.output)") }
            return (try? Connection(port: 113, from: address, to: address, in: network)) != nil
        }
    }

    deinit {
        process.killGroup()
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// Its log of questions and answers.
    var log: String { process.output }
}
