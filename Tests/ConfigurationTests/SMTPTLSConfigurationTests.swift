import MailModel
import Testing

@testable import Configuration

@Suite("smtp-tls.conf")
struct SMTPTLSConfigurationTests {
    func parse(_ text: String) throws(ConfigurationErrors) -> SMTPTLSConfiguration {
        try SMTPTLSConfiguration.parse(text, file: "t.conf")
    }

    func errors(_ text: String) -> [String] {
        do throws(ConfigurationErrors) {
            _ = try parse(text)
            return []
        } catch {
            return error.errors.map(\.description)
        }
    }

    func level(_ configuration: SMTPTLSConfiguration, _ host: String, _ port: UInt16 = 25) throws -> TLSPolicy.Level {
        configuration.policy(for: try #require(MailDomain(host)), port: port).level
    }

    static let digest = String(repeating: "0aF", count: 21) + "1"

    @Test("ZMailer's keywords are read, comments and CRLF passed over")
    func keywords() throws {
        let configuration = try parse(
            "# comment\r\n\r\n  TLS-cert-file /etc/c.pem # ours\r\n" + """
                tls-key-file\t/etc/k.pem
                tls-CAfile /etc/ca.pem
                tls-CApath /etc/certs
                tls-loglevel 2
                tls-random-source dev:/dev/urandom
                tls-scache-timeout 60
                no-tls-readahead
                demand-tls-mode
                """)
        #expect(configuration.certificateFile == "/etc/c.pem")
        #expect(configuration.keyFile == "/etc/k.pem")
        #expect(configuration.authorityFile == "/etc/ca.pem")
        #expect(configuration.authorityFolder == "/etc/certs")
        #expect(configuration.logLevel == 2)
        #expect(configuration.sessionLifetime == .seconds(60))
        #expect(try level(configuration, "b.test") == .encrypt)
    }

    @Test("an empty file is opportunistic TLS")
    func empty() throws {
        let configuration = try parse("\n# nothing\n")
        #expect(configuration == SMTPTLSConfiguration())
        let policy = configuration.policy(for: try #require(MailDomain("b.test")), port: 25)
        #expect(policy == TLSPolicy(level: .may))
        #expect(policy.protocols == .tls1_2 ... .tls1_3)
    }

    @Test("the first destination line that matches holds")
    func destinations() throws {
        let configuration = try parse(
            """
            destination plain.test none
            destination b.test:587 encrypt
            destination B.Test verify
            destination .b.test fingerprint fingerprint=sha256:\(Self.digest)
            destination [192.0.2.1] encrypt
            destination [IPv6:2001:db8::1]:465 encrypt wrapper
            destination [mail.c.test] verify
            destination b\u{fc}cher.test verify
            destination *:24 none
            demand-tls-mode
            """)
        let cases: [(String, UInt16, TLSPolicy.Level)] = [
            ("plain.test", 25, .none), ("b.test", 587, .encrypt), ("b.test", 25, .verify), ("b.TEST", 465, .verify),
            ("mx.b.test", 25, .fingerprint), ("xb.test", 25, .encrypt), ("[192.0.2.1]", 25, .encrypt),
            ("[192.0.2.2]", 24, .none), ("[IPv6:2001:DB8:0::1]", 465, .encrypt), ("mail.c.test", 25, .verify),
            ("xn--bcher-kva.test", 25, .verify), ("B\u{fc}cher.test", 25, .verify), ("d.test", 24, .none),
            ("d.test", 25, .encrypt),
        ]
        for (host, port, expected) in cases {
            #expect(try level(configuration, host, port) == expected, "\(host):\(port)")
        }
        let wrapped = configuration.policy(for: try #require(MailDomain("[IPv6:2001:db8::1]")), port: 465)
        #expect(wrapped.isWrapped)
    }

    @Test("options of a destination")
    func options() throws {
        let configuration = try parse(
            """
            destination a.test verify match=hostname,.Mail.test,nexthop MATCH=x.test,dot-nexthop cafile=/ca.pem \
            ciphers=ECDHE+AESGCM:!aNULL@SECLEVEL=2 protocols=>=TLSv1.3
            destination b.test encrypt protocols=tlsv1.2
            destination c.test fingerprint fingerprint=SHA256:\(Self.digest),sha256:\(Self.colons)
            """)
        let first = configuration.destinations[0].policy
        #expect(first.names == [.hostName, .below(".mail.test"), .nextHop, .name("x.test"), .belowNextHop])
        #expect(first.hasOwnNames)
        #expect(first.authorityFile == "/ca.pem")
        #expect(first.ciphers == "ECDHE+AESGCM:!aNULL@SECLEVEL=2")
        #expect(first.protocols == .tls1_3 ... .tls1_3)
        #expect(configuration.destinations[1].policy.protocols == .tls1_2 ... .tls1_2)
        #expect(configuration.destinations[1].policy.names == TLSPolicy.secureNames)
        let prints = configuration.destinations[2].policy.fingerprints
        #expect(prints.count == 2)
        #expect(prints[0] == prints[1])
        #expect(prints[0].description == "sha256:" + asciiLowercased(Self.digest))
    }

    static let colons = stride(from: 0, to: 64, by: 2).map { index in
        String(decoding: Array(digest.utf8)[index..<(index + 2)], as: UTF8.self)
    }.joined(separator: ":")

    @Test(
        "each mistake names its line, its key and what would be valid",
        arguments: [
            ("tls-CAfiles /x", "t.conf:1: tls-CAfiles: is not a keyword; valid are tls-cert-file, tls-key-file, "),
            ("\ntls-CAfile ca.pem", "t.conf:2: tls-CAfile: 'ca.pem' is no absolute path; valid is a path that begins"),
            ("tls-CAfile $MAILSHARE/ca.pem", "t.conf:1: tls-CAfile: '$MAILSHARE/ca.pem' is no absolute path"),
            ("tls-CApath /a /b", "t.conf:1: tls-CApath: takes one value"),
            ("tls-loglevel 5", "t.conf:1: tls-loglevel: '5' is not valid; valid is a number from 0 to 4"),
            ("tls-scache-timeout 1h", "t.conf:1: tls-scache-timeout: '1h' is not valid; valid is a number of seconds"),
            ("tls-random-source", "t.conf:1: tls-random-source: takes one value"),
            ("demand-tls-mode yes", "t.conf:1: demand-tls-mode: takes no value; remove 'yes'"),
            ("no-tls-readahead 1", "t.conf:1: no-tls-readahead: takes no value; remove '1'"),
            ("destination a.test", "t.conf:1: destination: needs a pattern and a level; valid levels are none, may, "),
            ("destination a.test must", "t.conf:1: destination a.test: 'must' is not a level; valid are none, may, "),
            ("destination 192.0.2.1 may", "t.conf:1: destination 192.0.2.1: is not a pattern; valid are DOMAIN, "),
            ("destination [10.0.0.300] may", "t.conf:1: destination [10.0.0.300]: is not a pattern"),
            ("destination a.test:0 may", "t.conf:1: destination a.test:0: is not a pattern"),
            ("destination *.a.test may", "t.conf:1: destination *.a.test: is not a pattern"),
            ("destination a.test verify names=x", "t.conf:1: destination a.test: 'names' is not an option; valid are "),
            ("destination a.test verify match", "t.conf:1: destination a.test: match needs a value: match=…"),
            ("destination a.test verify match=a_b!", "t.conf:1: destination a.test: match 'a_b!' is no name; valid "),
            ("destination a.test may CAfile=x", "t.conf:1: destination a.test: CAfile 'x' is no absolute path"),
            ("destination a.test may ciphers=\u{fc}", "t.conf:1: destination a.test: ciphers '\u{fc}' is not in"),
            ("destination a.test may protocols=SSLv3", "t.conf:1: destination a.test: protocols 'SSLv3' is not valid"),
            ("destination a.test fingerprint", "t.conf:1: destination a.test: level fingerprint needs fingerprint="),
            (
                "destination a.test fingerprint fingerprint=sha1:00",
                "fingerprint 'sha1:00' is not valid; valid is sha256"
            ),
            ("destination a.test fingerprint fingerprint=sha256:0", "fingerprint 'sha256:0' is not valid"),
            ("destination a.test verify fingerprint=sha256:\(digest)", "fingerprint= is for level fingerprint"),
            ("destination a.test fingerprint match=x fingerprint=sha256:\(digest)", "remove match= and CAfile="),
            ("destination a.test none match=x", "t.conf:1: destination a.test: level none takes no options"),
            ("destination a.test may wrapper", "t.conf:1: destination a.test: wrapper leaves no choice; valid with it"),
            ("destination a.test encrypt wrapper=yes", "t.conf:1: destination a.test: wrapper takes no value"),
            ("demand-tls-mode\ndestination * may", "t.conf:2: destination *: level may for all contradicts demand-tls"),
        ])
    func mistakes(text: String, expected: String) {
        let found = errors(text)
        #expect(found.contains { $0.contains(expected) }, "\(found)")
    }

    @Test("all mistakes are reported together")
    func together() {
        #expect(errors("tls-loglevel x\nwhat\ndestination ? ?\n").count == 4)
    }

    @Test("REQUIRETLS raises what asks for less than a proof of identity")
    func requireTLS() {
        for level in TLSPolicy.Level.allCases {
            let raised = TLSPolicy(level: level).forRequireTLS
            #expect(raised.level == (level == .fingerprint ? .fingerprint : .verify))
        }
    }
}
