import AgentProtocol
import Configuration
import MailModel
import ProgramKit
import SpoolFormat
import Telemetry
import Testing
import TransportSecurity

@testable import SMTPAgent

@Suite("TLS sessions of the SMTP agent: reuse, resumption, log")
struct SMTPAgentTLSSessionTests {
    @Test("messages share a TLS connection, tickets of the server or not")
    func reuse() throws {
        let harness = try SMTPAgentTLSTests.harness("encrypt")
        defer { harness.peer.stop() }
        let controls = try (0..<5).map { _ in try harness.spool.add([harness.group(["u@b.test"])]) }
        #expect(try harness.deliver(controls).map(\.result) == Array(repeating: .ok, count: 5))
        #expect(harness.peer.connections == 1)
        #expect(harness.peer.messages.map(\.isInTLS) == Array(repeating: true, count: 5))
        #expect(harness.peer.eventually { $0.commands.last == "QUIT" })
        #expect(harness.peer.clearCommands == SMTPAgentTLSTests.bare)
    }

    @Test("the next connection resumes the session, unless that is turned off", arguments: [true, false])
    func resumption(isOn: Bool) throws {
        for protocols in ["TLSv1.2", "TLSv1.3"] {
            var harness = try SMTPAgentTLSTests.harness("verify protocols=\(protocols)")
            defer { harness.peer.stop() }
            harness.options.sendsOneMessagePerConnection = true
            if !isOn { harness.tls.sessionLifetime = .zero }
            let controls = try (0..<3).map { _ in try harness.spool.add([harness.group(["u@b.test"])]) }
            #expect(try harness.deliver(controls).map(\.result) == [.ok, .ok, .ok])
            #expect(harness.peer.resumed == [false, isOn, isOn], "\(protocols)")
        }
    }

    @Test("a session is resumed for the same destination alone")
    func resumptionScope() throws {
        var harness = try SMTPAgentTLSTests.harness("encrypt")
        defer { harness.peer.stop() }
        harness.tls = try SMTPTLSConfiguration.parse(
            """
            tls-CAfile \(harness.files[0].path)
            destination b.test encrypt
            destination c.test verify match=b.test
            """, file: "smtp-tls.conf")
        harness.names.addresses = ["b.test": "127.0.0.1", "c.test": "127.0.0.1"]
        harness.options.sendsOneMessagePerConnection = true
        let hosts = ["b.test", "c.test", "b.test", "c.test"]
        let controls = try hosts.map { try harness.spool.add([.from("s@a.test", [("smtp", $0, "u@\($0)")])]) }
        // One agent for all: each job has its own host.
        let input = zip(controls, hosts).map { "\($0.id)\t\($1)\n" }.joined()
        #expect(try harness.run(input).map(\.result) == [.ok, .ok, .ok, .ok])
        #expect(harness.peer.resumed == [false, false, true, true])
    }

    @Test("megabytes arrive octet for octet", arguments: ["DATA", "BDAT"])
    func large(verb: String) throws {
        let harness = try SMTPAgentTLSTests.harness("encrypt") {
            $0.keywordsInTLS = verb == "BDAT" ? ["PIPELINING", "CHUNKING"] : ["PIPELINING"]
        }
        defer { harness.peer.stop() }
        let content =
            "Subject: x\r\n\r\n" + String(repeating: "." + String(repeating: "x", count: 75) + "\r\n", count: 40_000)
        let control = try harness.spool.add([harness.group(["u@b.test"])], content: content)
        #expect(try harness.deliver([control]).map(\.result) == [.ok])
        #expect(harness.peer.messages.first?.content == content)
        #expect(harness.peer.commands.contains { $0.hasPrefix(verb) })
    }

    /// Runs one delivery with a log; its lines.
    func lines(
        _ level: String, logLevel: Int = 0, isVerbose: Bool = false,
        _ change: (inout SMTPAgentPeer.Script) -> Void = { _ in }
    ) throws -> [String] {
        let file = try TLSFixtures.File("")
        var harness = try SMTPAgentTLSTests.harness(level, .good, change)
        harness.log = try EventLog(program: "smtp", destination: .file(file.path), level: .debug)
        harness.tls.logLevel = logLevel
        harness.options.isVerbose = isVerbose
        _ = try SMTPAgentTLSTests.deliver(harness)
        let text = String(decoding: try FileOctets.read(file.path, limit: 1 << 20), as: UTF8.self)
        return text.split(separator: "\n").map(String.init)
    }

    @Test("delivery lines say how the connection was protected")
    func deliveryLine() throws {
        let cases: [(String, [String], String)] = [
            ("verify", ["STARTTLS"], " tls=TLSv1.3/TLS_AES_256_GCM_SHA384/verified "),
            ("may match=x.test", ["STARTTLS"], " tls=TLSv1.3/TLS_AES_256_GCM_SHA384/untrusted "),
            ("may", [], " tls=none "), ("encrypt", [], " tls=- "),
        ]
        for (level, keywords, expected) in cases {
            let lines = try lines(level) { $0.keywords = keywords }.filter { $0.contains(" delivery ") }
            #expect(lines.count == 1)
            #expect(lines.first?.contains(expected) == true, "\(lines)")
        }
    }

    @Test("tls-loglevel: 1 a line for each session, 2 what the certificate says; -v tells it too")
    func logLevels() throws {
        #expect(try !lines("may").contains { $0.contains(" info tls") })
        let one = try lines("may", logLevel: 1).filter { $0.contains(" info tls ") }
        #expect(one.count == 1 && one[0].contains("resumed=no") && !one[0].contains("subject="))
        let two = try lines("may match=x.test", logLevel: 2).filter { $0.contains(" info tls ") }
        #expect(two.count == 1 && two[0].contains("subject=\"CN=mx1.test\"") || two[0].contains("subject=CN=mx1.test"))
        #expect(two[0].contains("sha256=\(TLSFixtures.goodFingerprint)"))
        #expect(two[0].lowercased().contains("hostname mismatch"))
        let verbose = try lines("may", isVerbose: true)
        #expect(verbose.contains { $0.contains(" debug tls ") })
        // The dialogue is told as it was before it was encrypted.
        #expect(verbose.contains { $0.contains("smtp-sent") && $0.contains("MAIL FROM:") })
    }

    @Test("TLS that was given up for clear text is told")
    func givenUp() throws {
        let lines = try lines("may") {
            $0.handshake = .garbage
            $0.keywords = ["STARTTLS"]
        }
        let given = lines.filter { $0.contains(" info tls-given-up ") }
        #expect(given.count == 1)
        #expect(given.first?.contains("TLS: ") == true)
        #expect(lines.contains { $0.contains(" delivery ") && $0.contains(" tls=none ") })
    }

    @Test("files that cannot be used are told with the line that names them, all together")
    func files() throws {
        let empty = try TLSFixtures.File("nothing")
        let configuration = try SMTPTLSConfiguration.parse(
            """
            tls-cert-file /nonexistent/c.pem
            destination a.test verify CAfile=\(empty.path)
            destination b.test encrypt ciphers=NOSUCHCIPHER
            """, file: "t.conf")
        do throws(ConfigurationErrors) {
            _ = try ClientTLS(configuration, file: "t.conf", log: nil)
            Issue.record("no error")
        } catch {
            #expect(error.errors.map(\.line) == [0, 2, 3])
            let texts = error.errors.map(\.description)
            #expect(texts[0].hasPrefix("t.conf: /nonexistent/c.pem: "))
            #expect(texts[1].hasPrefix("t.conf:2: destination a.test: \(empty.path): "))
            #expect(texts[2].hasPrefix("t.conf:3: destination b.test: ") && texts[2].contains("NOSUCHCIPHER"))
        }
    }

    @Test("our own certificate: what is to be mended is told, and a server that asks for one gets it")
    func ownCertificate() throws {
        let expired = try TLSFixtures.File(TLSFixtures.expired + "\n" + TLSFixtures.key)
        var own = SMTPTLSConfiguration()
        own.keyFile = expired.path
        #expect(try ClientTLS(own, file: "t.conf", log: nil).problems.first?.contains("expired on 2021-") == true)
        let good = try TLSFixtures.File(TLSFixtures.good + "\n" + TLSFixtures.key)
        var harness = try SMTPAgentTLSTests.harness("encrypt") {
            $0.tls = try TLSFixtures.server(.good, trusting: TLSFixtures.authority) { $0.clientCertificates = .require }
        }
        harness.tls.certificateFile = good.path
        #expect(try SMTPAgentTLSTests.deliver(harness).result == .ok)
        #expect(harness.peer.messages.map(\.isInTLS) == [true])
    }

    @Test("smtp-tls.conf: the folder's may be missing, the one that -S names may not")
    func configurationFile() throws {
        #expect(try TLSConfigurationFile.read(nil, folder: "/nonexistent").configuration == SMTPTLSConfiguration())
        #expect(throws: ConfigurationErrors.self) { try TLSConfigurationFile.read("/nonexistent/x", folder: "/") }
        let file = try TLSFixtures.File("demand-tls-mode\n")
        #expect(try TLSConfigurationFile.read(file.path, folder: "/").configuration.demandsTLS)
        let broken = try TLSFixtures.File("demand-tls\n")
        #expect(throws: ConfigurationErrors.self) { try TLSConfigurationFile.read(broken.path, folder: "/") }
    }
}
