import Foundation
import Testing

/// `smtpserver -a` and a real ident service at its clients' address.
@Suite("ident, with oidentd", .enabled(if: TestNetwork.canBeMade, "\(TestNetwork.requirement)"))
struct IdentServiceTests {
    /// One message by swaks as this user, from this address; true: it was accepted.
    private static func send(_ instance: Instance, _ server: OtherServer, as user: Int, from source: String)
        async throws
    {
        let result = try await instance.run(
            "/usr/bin/setpriv",
            [
                "--reuid", String(user), "--regid", String(user), "--clear-groups", Programs.swaks, "--server",
                "127.0.0.1:\(server.port)", "--local-interface", source, "--helo", "client.test", "--from",
                "a@client.test", "--to", "alice@example.test",
            ])
        guard result.status == .exited(0) else { throw HarnessError("\(result.output)\n\(server.process.output)") }
        #expect(result.output.contains("ESMTP+IDENT"), "the greeting tells of -a: \(result.output)")
    }

    @Test("who has the connection is in the envelope, and in Received: where rcvd-ident asks for it; else nobody is")
    func users() async throws {
        let network = try TestNetwork()
        let service = try await IdentService("192.0.2.7", in: network)
        try await Instance.run { settings in
            settings.network = network
        } _: { instance in
            let shown = "\(instance.directory)/shown.conf"
            try instance.write(instance.read("share/smtpserver.conf") + "PARAM rcvd-ident\n", to: "shown.conf")
            // nobody; daemon, who hides; a host without the service.
            let clients = [(65534, "192.0.2.7"), (1, "192.0.2.7"), (65534, "192.0.2.8")]
            for (name, options) in [("shown", ["-C", shown]), ("silent", [])] {
                let spool = try instance.makeSpool(name)
                let server = try await OtherServer(instance, name, ["-a", "-P", spool] + options)
                for (user, source) in clients { try await Self.send(instance, server, as: user, from: source) }
                try await server.stop()
                let messages = instance.waiting(in: name)
                #expect(messages.count == 3)
                let known = try #require(
                    messages.first { $0.contains("ident: \"nobody\"") }, "\(messages) \(service.log)")
                let lines = known.split(separator: "\n")
                #expect(lines.contains("identinfo nobody"), "\(known)")
                #expect(lines.contains { $0.hasPrefix("comment ident: \"nobody\" ") }, "\(known)")
                let trace = try #require(lines.first { $0.hasPrefix("rcvdfrom ") })
                #expect(trace.contains("([192.0.2.7]:"), "\(trace)")
                #expect(trace.contains("\"EHLO client.test\" ident: \"nobody\"") == (name == "shown"), "\(trace)")
                for message in messages where message != known {
                    #expect(!message.contains("identinfo") && !message.contains("ident: "), "\(message)")
                }
            }
            #expect(service.log.contains("HIDDEN-USER"), "\(service.log)")
        }
    }
}
