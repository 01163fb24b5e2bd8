import Foundation
import Glibc
import Testing

/// TLS of smtpserver as a real client sees it.
@Suite("TLS with real clients")
struct SecurityTests {
    struct Offer: Sendable, CustomTestStringConvertible {
        let name: String
        let arguments: [String]
        /// As s_client prints it; nil: there must be no session.
        let session: String?
        var testDescription: String { name }
    }

    /// What the client allows, for a server that has both an RSA and an ECDSA certificate.
    static let offers = [
        Offer(
            name: "TLS 1.3, AES-256-GCM", arguments: ["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"],
            session: "TLSv1.3,CipherisTLS_AES_256_GCM_SHA384"),
        Offer(
            name: "TLS 1.3, AES-128-GCM", arguments: ["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"],
            session: "TLSv1.3,CipherisTLS_AES_128_GCM_SHA256"),
        Offer(
            name: "TLS 1.3, ChaCha20", arguments: ["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
            session: "TLSv1.3,CipherisTLS_CHACHA20_POLY1305_SHA256"),
        Offer(
            name: "TLS 1.2, ECDHE-RSA", arguments: ["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"],
            session: "TLSv1.2,CipherisECDHE-RSA-AES256-GCM-SHA384"),
        Offer(
            name: "TLS 1.2, ECDHE-ECDSA", arguments: ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
            session: "TLSv1.2,CipherisECDHE-ECDSA-AES128-GCM-SHA256"),
        Offer(
            name: "TLS 1.2, ChaCha20 and RSA", arguments: ["-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"],
            session: "TLSv1.2,CipherisECDHE-RSA-CHACHA20-POLY1305"),
        Offer(
            name: "TLS 1.2, ChaCha20 and ECDSA", arguments: ["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"],
            session: "TLSv1.2,CipherisECDHE-ECDSA-CHACHA20-POLY1305"),
        Offer(
            name: "TLS 1.2, DHE", arguments: ["-tls1_2", "-cipher", "DHE-RSA-AES256-GCM-SHA384"],
            session: "TLSv1.2,CipherisDHE-RSA-AES256-GCM-SHA384"),
        Offer(
            name: "TLS 1.1", arguments: ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], session: nil),
        Offer(
            name: "TLS 1.2 without authentication", arguments: ["-tls1_2", "-cipher", "aNULL@SECLEVEL=0"],
            session: nil),
        Offer(
            name: "TLS 1.2 without encryption", arguments: ["-tls1_2", "-cipher", "eNULL@SECLEVEL=0"], session: nil),
    ]

    @Test("each protocol and each kind of cipher, with an RSA and an ECDSA certificate beside each other")
    func ciphers() async throws {
        try await Instance.run { settings in
            settings.useTLS(["tls-dcert-file $MAILVAR/second.pem", "tls-dkey-file $MAILVAR/second.key"], .rsa)
            settings.prepareAlso { instance in
                let authority = try instance.makeAuthority()
                try authority.issue("server", .rsa, names: ["mail.example.test"])
                try authority.issue("second", .ecdsa, names: ["mail.example.test"])
            }
        } _: { instance in
            for offer in Self.offers {
                let result = try await instance.tlsSession(offer.arguments)
                if let session = offer.session {
                    #expect(result.output.contains("New,\(session)"), "\(offer.name): \(result.output)")
                    #expect(result.output.contains("2212.0.0"), "\(offer.name): \(result.output)")
                    let names = session.replacingOccurrences(of: ",Cipheris", with: " cipher=")
                    try await instance.waitForEvent("tls", "protocol=\(names) ")
                } else {
                    #expect(result.status != .exited(0), "\(offer.name): \(result.output)")
                    #expect(!result.output.contains("2212.0.0"), "\(offer.name): \(result.output)")
                }
            }
            // TLS 1.3 leaves the kind of key to the client's signatures.
            for (signatures, kind) in [("RSA-PSS+SHA256", "RSA-PSS"), ("ECDSA+SHA256", "ECDSA")] {
                let result = try await instance.tlsSession(["-tls1_3", "-sigalgs", signatures])
                #expect(result.output.contains("Peersignaturetype:\(kind)\n"), "\(result.output)")
            }
            try await waitUntil("three handshakes have failed", details: { instance.report }) {
                instance.events("tls-failed").count == 3
            }
        }
    }

    @Test("the certificate is the one for the name that the client asks for", arguments: [PeerTLS.starttls, .implicit])
    func serverNames(tls: PeerTLS) async throws {
        let port = try FreePorts.take()
        try await Instance.run { settings in
            settings.useTLS([
                "tls-sni-cert $MAILVAR/other.pem $MAILVAR/other.key", "BindSmtpS [127.0.0.1] \(port)",
            ])
            settings.prepareAlso { instance in
                let authority = try instance.makeAuthority()
                try authority.issue("server", names: ["mail.example.test"])
                try authority.issue("other", .rsa, names: ["mail.other.test", "*.more.test"])
            }
        } _: { instance in
            let expected = [
                ("mail.other.test", "mail.other.test"), ("MAIL.OTHER.TEST", "mail.other.test"),
                ("a.more.test", "mail.other.test"), ("mail.example.test", "mail.example.test"),
                ("unknown.test", "mail.example.test"),
            ]
            for (name, subject) in expected {
                let result = try await instance.tlsSession(
                    ["-servername", name], port: tls == .implicit ? port : instance.port, tls: tls)
                #expect(result.output.contains("subject=CN=\(subject)\n"), "\(name): \(result.output)")
                #expect(result.output.contains("2212.0.0"), "\(name): \(result.output)")
            }
            let none = try await instance.tlsSession(
                ["-noservername"], port: tls == .implicit ? port : instance.port, tls: tls)
            #expect(none.output.contains("subject=CN=mail.example.test\n"), "\(none.output)")
        }
    }

    @Test("a client's certificate is asked for, and what it says is in the log and in the trace")
    func askedCertificate() async throws {
        try await Instance.run { settings in
            settings.useTLS(["tls-ask-cert 1", "rcvd-tls-ccert", "rcvd-tls-mode"])
            settings.prepareAlso { instance in
                let authority = try instance.makeAuthority()
                try authority.issue("server", names: ["mail.example.test"])
                try authority.issue("client", names: ["client.example.test"])
                try TestCertificate.make(in: instance.directory, names: ["stranger.example.test"])
            }
        } _: { instance in
            let folder = "\(instance.directory)/var"
            let files = ["-cert", "\(folder)/client.pem", "-key", "\(folder)/client.key"]
            let known = try await instance.tlsSession(files)
            #expect(known.output.contains("2212.0.0"), "\(known.output)")
            try await instance.waitForEvent("tls", "peer=client.example.test", "verified=yes")
            let without = try await instance.tlsSession()
            #expect(without.output.contains("2212.0.0"), "\(without.output)")
            try await instance.waitForEvent("tls", "peer=- ", "verified=no")
            let stranger = try await instance.tlsSession([
                "-cert", "\(instance.directory)/cert.pem", "-key", "\(instance.directory)/key.pem",
            ])
            #expect(stranger.output.contains("2212.0.0"), "\(stranger.output)")
            let line = try await instance.waitForEvent("tls", "peer=stranger.example.test")
            #expect(Instance.value("verified", in: line) != "yes", "\(line)")

            let message = try instance.scratch(Array("Subject: x\n\nx\n".utf8))
            let sent = try await instance.swaks(
                to: "alice@example.test",
                arguments: [
                    "--tls", "--tls-cert", "\(folder)/client.pem", "--tls-key", "\(folder)/client.key", "--data",
                    "@\(message)",
                ])
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await instance.waitForMail(of: "alice", count: 1)
            let stored = String(decoding: try #require(instance.maildir("alice").messages.first), as: UTF8.self)
            #expect(stored.contains("TLS-PEER-CN1: \"client.example.test\""), "\(stored)")
            #expect(stored.contains("TLS-CIPHER: \"TLSv1."), "\(stored)")
        }
    }

    @Test("where a client's certificate is required, none and a stranger's are turned away")
    func requiredCertificate() async throws {
        try await Instance.run { settings in
            settings.useTLS(["tls-require-cert 1"])
            settings.prepareAlso { instance in
                let authority = try instance.makeAuthority()
                try authority.issue("server", names: ["mail.example.test"])
                try authority.issue("client", names: ["client.example.test"])
                try TestCertificate.make(in: instance.directory, names: ["stranger.example.test"])
            }
        } _: { instance in
            for version in ["-tls1_2", "-tls1_3"] {
                let folder = "\(instance.directory)/var"
                let known = try await instance.tlsSession([
                    version, "-cert", "\(folder)/client.pem", "-key", "\(folder)/client.key",
                ])
                #expect(known.output.contains("2212.0.0"), "\(version): \(known.output)")
                let without = try await instance.tlsSession([version])
                #expect(!without.output.contains("2212.0.0"), "\(version): \(without.output)")
                #expect(without.status != .exited(0), "\(version): \(without.output)")
                let stranger = try await instance.tlsSession([
                    version, "-cert", "\(instance.directory)/cert.pem", "-key", "\(instance.directory)/key.pem",
                ])
                #expect(!stranger.output.contains("2212.0.0"), "\(version): \(stranger.output)")
                #expect(stranger.status != .exited(0), "\(version): \(stranger.output)")
            }
            try await waitUntil("each is logged", details: { instance.report }) {
                instance.events("tls-failed").count == 4
            }
        }
    }

    @Test(
        "sessions are resumed, behind a restart where the key of the tickets is in a file", arguments: ["", "file"])
    func resumption(key: String) async throws {
        try await Instance.run { settings in
            settings.useTLS(key.isEmpty ? [] : ["tls-scache-name $MAILVAR/tickets"])
        } _: { instance in
            for version in ["-tls1_2", "-tls1_3"] {
                let file = "\(instance.directory)/session\(version)"
                let first = try await instance.tlsSession([version, "-sess_out", file])
                #expect(first.output.contains("New,TLSv1."), "\(first.output)")
                let second = try await instance.tlsSession([version, "-sess_in", file])
                #expect(second.output.contains("Reused,TLSv1."), "\(second.output)")
                #expect(second.output.contains("2212.0.0"), "\(second.output)")
                try await instance.waitForEvent("tls", "resumed=yes")
            }
            try await instance.stop()
            try await instance.start()
            for version in ["-tls1_2", "-tls1_3"] {
                let again = try await instance.tlsSession([
                    version, "-sess_in", "\(instance.directory)/session\(version)",
                ])
                #expect(
                    again.output.contains(key.isEmpty ? "New,TLSv1." : "Reused,TLSv1."), "\(version): \(again.output)")
                #expect(again.output.contains("2212.0.0"), "\(again.output)")
            }
            if !key.isEmpty {
                var information = stat()
                #expect(stat("\(instance.directory)/var/tickets", &information) == 0)
                #expect(information.st_mode & 0o077 == 0, "the key is for its owner alone")
            }
        }
    }

    @Test("changed certificates are used by new sessions, old ones go on; what does not fit is refused")
    func rotation() async throws {
        try await Instance.run { settings in
            settings.useTLS()
        } _: { instance in
            let workers = instance.workers
            #expect(workers.count == 1)
            let old = try Connection.greeted(port: instance.port)
            #expect(try old.command("STARTTLS").code == 220)
            try old.startTLS()
            #expect(try old.command("EHLO client.test").code == 250)

            let authority = TestAuthority(at: "\(instance.directory)/var")
            try authority.issue("server", .rsa, names: ["new.example.test"])
            try await instance.waitForEvent("certificates-reloaded")
            let fresh = try await instance.tlsSession()
            #expect(fresh.output.contains("subject=CN=new.example.test\n"), "\(fresh.output)")
            #expect(try old.command("NOOP").code == 250)

            // A key that is not the certificate's.
            try authority.issue("stray", names: ["stray.example.test"])
            let files = "\(instance.directory)/var"
            #expect(rename("\(files)/stray.key", "\(files)/server.key") == 0)
            try await instance.waitForEvent("certificates-refused", "server.")
            let still = try await instance.tlsSession()
            #expect(still.output.contains("subject=CN=new.example.test\n"), "\(still.output)")
            #expect(still.output.contains("2212.0.0"), "\(still.output)")

            // Half of a file.
            let whole = instance.read("var/stray.pem")
            try instance.write(String(whole.prefix(whole.count / 2)), to: "var/server.pem")
            try await waitUntil("that is refused too", details: { instance.report }) {
                instance.events("certificates-refused").count >= 2
            }
            #expect(try await instance.tlsSession().output.contains("subject=CN=new.example.test\n"))

            #expect(rename("\(files)/stray.pem", "\(files)/server.pem") == 0)
            try await waitUntil("the whole pair is used", details: { instance.report }) {
                instance.events("certificates-reloaded").count == 2
            }
            #expect(try await instance.tlsSession().output.contains("subject=CN=stray.example.test\n"))
            #expect(try old.command("QUIT").code == 221)
            #expect(instance.workers == workers)
        }
    }
}
