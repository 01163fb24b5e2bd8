import Foundation
import Glibc

/// Debian's NSD with a root zone of the test's own, on a port of 127.0.0.1: what it does not know does not exist.
final class NameServer {
    let port: UInt16
    let process: TestProcess
    private let directory: String

    /// `records` in the form of master files, owner names without their final dot. In `network`, or where the test runs.
    init(_ records: [String], in network: TestNetwork? = nil) async throws {
        let port = try FreePorts.take()
        self.port = port
        var template = Array("/tmp/zm-nsd-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw HarnessError("mkdtemp: \(String(cString: strerror(errno)))") }
        let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        self.directory = directory
        let zone = """
            $ORIGIN .
            $TTL 60
            . IN SOA ns.example hostmaster.example 1 3600 600 86400 60
            . IN NS ns.example
            ns.example IN A 127.0.0.1

            """
        try (zone + records.map { $0 + "\n" }.joined()).write(
            toFile: "\(directory)/root.zone", atomically: false, encoding: .utf8)
        let configuration = """
            server:
              ip-address: 127.0.0.1@\(port)
              username: ""
              chroot: ""
              zonesdir: "\(directory)"
              pidfile: "\(directory)/nsd.pid"
              database: ""
              xfrdfile: "\(directory)/xfrd.state"
              xfrdir: "\(directory)"
              zonelistfile: "\(directory)/zone.list"
              server-count: 1
              rrl-ratelimit: 0
              rrl-whitelist-ratelimit: 0
            remote-control:
              control-enable: no
            zone:
              name: "."
              zonefile: "root.zone"

            """
        try configuration.write(toFile: "\(directory)/nsd.conf", atomically: false, encoding: .utf8)
        let arguments = ["-d", "-c", "\(directory)/nsd.conf"]
        let command =
            network?.command(Programs.nsd, arguments) ?? (program: Programs.nsd, arguments: arguments)
        process = try TestProcess(
            command.program, command.arguments, environment: ["LD_LIBRARY_PATH": Programs.nsdLibraries],
            outputPath: "\(directory)/output")
        let process = process
        try await waitUntil("nsd has started", details: { process.output }) {
            if let status = process.poll() { throw HarnessError("nsd ended: \(status)\n\(process.output)") }
            return process.output.contains("nsd started")
        }
    }

    deinit {
        process.killGroup()
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// SIGSTOP or SIGCONT to all its processes.
    func signal(_ signal: Int32) { kill(-process.pid, signal) }
}
