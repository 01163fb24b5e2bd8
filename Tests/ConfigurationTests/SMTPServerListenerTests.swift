import MailModel
import Testing

@testable import Configuration

/// Listeners, groups, TLS and AUTH of `smtpserver.conf`.
@Suite struct SMTPServerListenerTests {
    static func parse(_ text: String) throws -> SMTPServerConfiguration {
        try SMTPServerConfiguration.parse(
            text + "\n* 999 ve\n", file: "s.conf", environment: ZEnvironment(values: ["MAILVAR": "/var/m"]))
    }

    static func errors(_ text: String) -> [String] {
        do {
            _ = try parse(text)
            return []
        } catch let error as ConfigurationErrors {
            return error.description.split(separator: "\n").map(String.init)
        } catch {
            return ["\(error)"]
        }
    }

    static let tls = "PARAM use-tls\nPARAM tls-cert-file $MAILVAR/db/cert.pem\n"

    @Test("each Bind line has its service and the service's port")
    func services() throws {
        let configuration = try Self.parse(
            """
            PARAM tls-cert-file /c
            PARAM smtp-auth
            PARAM AUTH-LOGIN-also-without-TLS
            PARAM BindSmtp [127.0.0.1]
            PARAM BindSmtp [127.0.0.1] 2525
            PARAM BindSmtpS any
            PARAM BindSubmit [IPv6:::1] 1587
            PARAM BindAddress any
            """)
        let shown = configuration.listeners.map { "\($0.service) \($0.port ?? -1) \($0.origin)" }
        #expect(
            shown == [
                "smtp 25 s.conf:4", "smtp 2525 s.conf:5", "smtps 465 s.conf:6", "submission 1587 s.conf:7",
                "smtp -1 s.conf:8",
            ])
    }

    @Test("a group has the values that stand before the first one, and what it sets itself; its listeners are its own")
    func groups() throws {
        let configuration = try Self.parse(
            """
            PARAM maxsize 1000
            PARAM NoDSN
            PARAM BindSmtp any 2525
            PARAM newgroup
            PARAM maxsize 2000
            PARAM DSN-OK
            PARAM BindSmtp any 2526
            PARAM newgroup
            PARAM BindSmtp any 2527
            PARAM lmtp-mode
            """)
        #expect(configuration.maximumMessageSize == 1000)
        #expect(!configuration.offersDSN)
        #expect(configuration.groups.map(\.maximumMessageSize) == [2000, 1000])
        #expect(configuration.groups.map(\.offersDSN) == [true, false])
        #expect(configuration.groups.map(\.isLMTP) == [false, true])
        #expect(([configuration] + configuration.groups).map { $0.listeners.map(\.port) } == [[2525], [2526], [2527]])
        #expect(configuration.groups.allSatisfy { $0.patterns.count == 1 })
    }

    @Test("lines may end in CRLF")
    func carriageReturns() throws {
        let configuration = try Self.parse("PARAM maxsize 1000\r\nPARAM help a b\r\nfoo.example strict\r")
        #expect(configuration.maximumMessageSize == 1000 && configuration.help == ["a b"])
        #expect(configuration.patterns.first?.effect == .style("strict"))
        #expect(Self.errors("\r\nPARAM nonsense-of-nobody\r\n").map { $0.prefix(9) } == ["s.conf:2:"])
    }

    @Test("the PARAMs of TLS are read, paths with variables of zmailer.conf")
    func tlsValues() throws {
        let tls = try Self.parse(
            """
            PARAM use-tls
            PARAM tls-cert-file $MAILVAR/db/cert.pem
            PARAM tls-key-file /k
            PARAM tls-dcert-file /d
            PARAM tls-sni-cert /a.pem
            PARAM tls-sni-cert /b.pem /b.key
            PARAM tls-CAfile /ca
            PARAM tls-loglevel 2
            PARAM tls-ask-cert 1
            PARAM tls-ccert-vd 3
            PARAM tls-enforce-tls 1
            PARAM tls-cipher-list ECDHE+AESGCM HIGH
            PARAM tls-protocols tlsv1.3
            PARAM no-tls-use-scache
            PARAM tls-scache-timeout 60
            PARAM tls-random-source /run/prngd
            """
        ).tls
        #expect(tls.certificateFile == "/var/m/db/cert.pem")
        #expect(
            tls.namedCertificates.map { [$0.certificate, $0.key] } == [["/a.pem", "/a.pem"], ["/b.pem", "/b.key"]])
        #expect(tls.logLevel == 2 && tls.verifyDepth == 3 && tls.asksForCertificate && tls.isEnforced)
        #expect(tls.cipherList == "ECDHE+AESGCM HIGH")
        #expect(tls.minimumProtocol == .tls13 && !tls.resumesSessions && tls.sessionLifetime == 60)
    }

    @Test("which mechanisms are offered")
    func mechanisms() throws {
        func offered(_ text: String) throws -> [String] {
            let configuration = try Self.parse(Self.tls + text)
            return configuration.authentication.offered(hasTable: !configuration.credentials.table.isEmpty)
        }
        #expect(try offered("") == [])
        #expect(try offered("PARAM smtp-auth") == ["PLAIN", "LOGIN"])
        #expect(try offered("PARAM smtp-auth-sasl") == ["PLAIN", "LOGIN"])
        #expect(
            try offered("PARAM smtp-auth-sasl\nPARAM smtp-auth-table /t")
                == ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"])
        #expect(try offered("PARAM smtp-auth-sasl\nPARAM sasl-mechanisms \"login plain\"") == ["LOGIN", "PLAIN"])
        #expect(try offered("PARAM smtp-auth\nPARAM no-smtp-auth") == [])
    }

    @Test("clusters, proxies, tarpit and what is left")
    func others() throws {
        let configuration = try Self.parse(
            """
            PARAM etrn-cluster node.example u p
            PARAM etrn-cluster [192.0.2.1]/1174 u p
            PARAM proxy-protocol [192.0.2.1] 10.0.0.0/8
            PARAM xclient 2001:db8::/32
            PARAM tarpit 20 2 300
            PARAM early-talker refuse
            PARAM deliverby
            PARAM rcvd-auth-user
            PARAM rcvd-tls-mode
            PARAM no-rcvd-auth-user
            PARAM tcp-wrapper-tables /a /d
            PARAM future-release 3600
            """)
        #expect(configuration.cluster.map { "\($0.host) \($0.port)" } == ["node.example 174", "192.0.2.1 1174"])
        #expect(configuration.proxies.map(\.description) == ["192.0.2.1/32", "10.0.0.0/8"])
        #expect(configuration.xclients.map(\.prefixLength) == [32])
        #expect(configuration.tarpit == SMTPServerConfiguration.Tarpit(initial: 20, exponent: 2, limit: 300))
        #expect(configuration.earlyTalker == .refuse && configuration.minimumDeliverBy == 0)
        #expect(configuration.shownInTrace == .tlsMode)
        #expect(configuration.wrapperTables == ["/a", "/d"] && configuration.maximumHold == 3600)
    }

    @Test(
        "a mistake is told with line, key and what is valid",
        arguments: [
            (
                "PARAM newgroup",
                "s.conf:1: PARAM newgroup: group 1 listens nowhere; it needs BindAddress, BindSmtp, BindSmtpS or BindSubmit"
            ),
            (
                "PARAM newgroup\nPARAM BindSmtp any 26\nPARAM policydb text",
                "s.conf:3: PARAM policydb: holds for the whole server; write it before the first PARAM newgroup"
            ),
            ("PARAM BindSmtpS any", "s.conf:1: PARAM BindSmtpS: needs PARAM tls-cert-file"),
            ("PARAM listen-ssmtp", "s.conf:1: PARAM listen-ssmtp: needs PARAM tls-cert-file"),
            ("PARAM tls-enforce-tls 1", "s.conf:1: PARAM tls-enforce-tls: needs PARAM use-tls"),
            ("PARAM tls-enforce-tls yes", "s.conf:1: PARAM tls-enforce-tls: needs 0 or 1"),
            (
                tls + "PARAM tls-require-cert 1",
                "s.conf:3: PARAM tls-require-cert: needs PARAM tls-CAfile or tls-CApath: who signs the clients' certificates"
            ),
            ("PARAM tls-cert-file c.pem", "s.conf:1: PARAM tls-cert-file: 'c.pem' is no absolute path"),
            (
                "PARAM tls-cert-file $NO/c.pem",
                "s.conf:1: PARAM tls-cert-file: '$NO/c.pem' is no absolute path; $NO/c.pem is not set in zmailer.conf"
            ),
            (
                "PARAM tls-protocols SSLv3",
                "s.conf:1: PARAM tls-protocols: needs one of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3"
            ),
            (
                "PARAM smtp-auth",
                "s.conf:1: PARAM smtp-auth: no client could use it: set PARAM use-tls, or PARAM "
                    + "AUTH-LOGIN-also-without-TLS for passwords in clear text"
            ),
            (
                tls + "PARAM smtp-auth-sasl\nPARAM sasl-mechanisms SCRAM-SHA-256",
                "s.conf:4: PARAM sasl-mechanisms: SCRAM needs the keys of PARAM smtp-auth-table"
            ),
            (
                "PARAM sasl-mechanisms CRAM-MD5",
                "s.conf:1: PARAM sasl-mechanisms: 'CRAM-MD5' is not there; valid are PLAIN LOGIN SCRAM-SHA-256 "
                    + "SCRAM-SHA-256-PLUS"
            ),
            (tls + "PARAM BindSubmit any", "s.conf:3: PARAM BindSubmit: needs PARAM smtp-auth or smtp-auth-sasl"),
            (
                "PARAM etrn-cluster node user",
                "s.conf:1: PARAM etrn-cluster: needs a node (name, address, or either with /port), a user and a password"
            ),
            (
                "PARAM proxy-protocol everybody",
                "s.conf:1: PARAM proxy-protocol: 'everybody' is no address; valid are [192.0.2.1], 192.0.2.0/24, 2001:db8::/32"
            ),
            ("PARAM xclient", "s.conf:1: PARAM xclient: needs the addresses or networks of those clients"),
            ("PARAM early-talker never", "s.conf:1: PARAM early-talker: needs one of ignore, log, refuse"),
            (
                "PARAM auth-failrate 2",
                "s.conf:1: PARAM auth-failrate: '2' is not a number from 3 to 1000000 (failures an hour)"
            ),
            (
                "PARAM smtp-auth-senders /s",
                "s.conf:1: PARAM smtp-auth-senders: needs PARAM smtp-auth or smtp-auth-sasl"
            ),
            (
                "PARAM deliverby soon",
                "s.conf:1: PARAM deliverby: takes the least number of seconds, 0 to 999999999 (RFC 2852)"
            ),
            (
                "PARAM tcp-wrapper-tables /a",
                "s.conf:1: PARAM tcp-wrapper-tables: needs two absolute paths, of hosts.allow and of hosts.deny"
            ),
        ])
    func mistake(text: String, expected: String) {
        #expect(Self.errors(text) == [expected])
    }
}
