import Foundation
import Glibc
import Testing

/// The harness itself: what it claims about a system under test must not be its own invention.
@Suite("The harness")
struct HarnessTests {
    private func temporaryOutput() -> String { "\(NSTemporaryDirectory())/zm-harness-\(UUID().uuidString)" }

    @Test("the sink keeps what smtp-source sends, each message once")
    func sinkKeeps() async throws {
        let sink = try Sink()
        defer { sink.stop() }
        let output = temporaryOutput()
        defer { unlink(output) }
        let source = try TestProcess(
            Programs.smtpSource,
            ["-m", "50", "-s", "5", "-l", "2000", "-f", "a@x.test", "-t", "b@y.test", "inet:127.0.0.1:\(sink.port)"],
            environment: ["LD_LIBRARY_PATH": Programs.postfixLibraries], outputPath: output)
        let status = try await source.waitForExit()
        #expect(status == .exited(0), "\(source.output)")
        #expect(sink.messageCount == 50)
        #expect(sink.messages.allSatisfy { $0.reversePath == "a@x.test" && $0.forwardPaths == ["b@y.test"] })
    }

    @Test(
        "octets pass client and sink unchanged",
        arguments: [
            "", "\r\n", ".\r\n", "..\r\n.\r\n", "a\r\n.b\r\n...\r\n", "no dot\r\n\r\n.\r\n",
        ])
    func transparent(message: String) throws {
        let sink = try Sink()
        defer { sink.stop() }
        let client = try Connection.greeted(port: sink.port)
        let reply = try client.transact(from: "a@x.test", to: ["b@y.test"], message: message)
        #expect(reply.code == 250)
        #expect(sink.messages.map(\.octets) == [Array(message.utf8)])
    }

    @Test("the sink answers as it is told, and keeps only what it accepted")
    func answers() throws {
        let sink = try Sink { $0.hasPrefix("RCPT TO:<grey@") ? "451 4.7.1 later" : nil }
        defer { sink.stop() }
        let client = try Connection.greeted(port: sink.port)
        #expect(try client.transact(from: "", to: ["grey@y.test"], message: "x\r\n").code == 451)
        sink.answer { $0 == "." ? "554 5.6.0 no" : nil }
        #expect(try client.transact(from: "", to: ["b@y.test"], message: "x\r\n").code == 554)
        #expect(sink.messages.isEmpty)
    }

    @Test("the TLS client speaks with openssl's server, in small and large pieces, and sees its end")
    func tls() async throws {
        let folder = "\(NSTemporaryDirectory())/zm-tls-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try TestCertificate.make(in: folder)
        let port = try FreePorts.take()
        let server = try TestProcess(
            Programs.openssl,
            [
                "s_server", "-accept", "127.0.0.1:\(port)", "-cert", "\(folder)/cert.pem", "-key", "\(folder)/key.pem",
                "-quiet", "-rev",
            ], outputPath: "\(folder)/out")
        defer { server.killGroup() }
        try await waitUntil("it listens", details: { server.output }) {
            isListening(port)
        }
        let client = try Connection(port: port)
        try client.startTLS(serverName: "mail.example.test")
        #expect(client.tls?.version == "TLSv1.3")
        for octet in "abc\n".utf8 { try client.send([octet]) }
        #expect(try client.readLine() == "cba")
        // Its lines are 16384 octets at most.
        try client.send("x" + String(repeating: "y", count: 16000) + "\n")
        #expect(try client.readLine()?.hasSuffix("yx") == true)
        try client.send("CLOSE\n")
        #expect(try client.remainder() == [])
    }

    @Test("the SCRAM client says what RFC 7677 §3 says")
    func scram() throws {
        var client = SCRAMClient(user: "user", password: "pencil", binding: nil, nonce: "rOprNGfwEbeRWgbNEkqO")
        #expect(client.clientFirst == "n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
        let answer = try client.answer(
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
        #expect(
            answer == "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                + "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
        #expect(client.accepts("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="))
        #expect(!client.accepts("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="))
    }

    @Test("a port that was given is free, and no other test gets it")
    func ports() throws {
        let ports = try (0..<50).map { _ in try FreePorts.take() }
        #expect(Set(ports).count == 50)
        #expect(ports.allSatisfy { !isListening($0) })
    }

    @Test("a process is found by the folder in its command line or environment, and ended with its group")
    func processes() async throws {
        let marker = "/tmp/zm-marker-\(UUID().uuidString)"
        let output = temporaryOutput()
        defer { unlink(output) }
        let process = try TestProcess(
            "/bin/sh", ["-c", "sleep 300 & wait"], environment: ["MARKER": marker], outputPath: output)
        try await waitUntil("both are seen") { ProcessTable.processes(naming: marker).count == 2 }
        process.killGroup()
        try await waitUntil("none is left") { ProcessTable.processes(naming: marker).isEmpty }
        #expect(process.poll() == .killed(signal: SIGKILL))
    }

    @Test("a condition that does not hold fails with its name at the deadline")
    func deadline() async throws {
        await #expect(throws: HarnessError.self) {
            try await waitUntil("never", deadline: .milliseconds(50)) { false }
        }
    }
}
