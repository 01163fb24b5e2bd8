import Foundation
import Glibc

/// Another smtpserver beside that of an instance: with its policy service, and options of its own.
final class OtherServer {
    let process: TestProcess
    let port: UInt16
    /// The pid file and the spool are named after it.
    let name: String

    /// It listens when this returns. `starter`: a program that starts it, and that program's arguments.
    init(
        _ instance: Instance, _ name: String, _ options: [String], starter: [String] = []
    ) async throws {
        let port = try FreePorts.take()
        (self.name, self.port) = (name, port)
        let command =
            starter + [
                "\(Programs.libexec)/smtpserver", "--foreground", "-p", String(port), "-I", ".pid.\(name)", "-Z",
                instance.configuration,
            ] + options
        let process = try instance.spawn(command[0], Array(command.dropFirst()))
        self.process = process
        try await waitUntil("smtpserver listens on \(port)", details: { process.output }) {
            if let status = process.poll() { throw HarnessError("smtpserver ended: \(status)\n\(process.output)") }
            return process.output.contains(":\(port) service=smtp")
        }
    }

    /// As an operator ends it.
    func stop() async throws {
        process.signal(SIGTERM)
        let status = try await process.waitForExit()
        guard status == .exited(0) else { throw HarnessError("smtpserver ended \(status)\n\(process.output)") }
    }
}

extension Instance {
    /// A spool of another server, in the instance's folder, with the instance's policy service. Nobody routes what is in it.
    func makeSpool(_ name: String) throws -> String {
        let spool = "\(directory)/\(name)"
        let folders = ["", "/public", "/router", "/queue", "/transport", "/deferred", "/freezer", "/postman"]
        for folder in folders {
            var status = stat()
            guard stat(postoffice + folder, &status) == 0, mkdir(spool + folder, 0o700) == 0,
                chmod(spool + folder, status.st_mode & 0o7777) == 0
            else { throw HarnessError("\(spool)\(folder): \(String(cString: strerror(errno)))") }
        }
        guard symlink("\(postoffice)/.policy", "\(spool)/.policy") == 0 else {
            throw HarnessError("\(spool)/.policy: \(String(cString: strerror(errno)))")
        }
        return spool
    }

    /// Message files that wait for a router in the spool `name`.
    func waiting(in name: String) -> [String] {
        let path = "\(directory)/\(name)/router"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.sorted().map { read("\(name)/router/\($0)") }
    }

    /// Connects from `source`, within the instance's network if it has one, and says EHLO; the greeting, too.
    func greeted(
        port: UInt16? = nil, from source: String = "127.0.0.1", as name: String = "client.test"
    ) throws -> (client: Connection, greeting: Connection.Reply, hello: Connection.Reply) {
        let client = try Connection(port: port ?? self.port, from: source, in: settings.network)
        let greeting = try client.readReply()
        guard greeting.code == 220 else { throw HarnessError("greeting: \(greeting)") }
        return (client, greeting, try client.command("EHLO \(name)"))
    }
}
