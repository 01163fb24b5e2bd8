import Configuration
import MailModel
import Testing

@Suite struct SMTPServerConfigurationTests {
    static let environment = ZEnvironment(values: ["SMTPPORT": "2525", "SMTPADDRESS": "127.0.0.1", "MAILVAR": "/var/m"])

    func parse(_ text: String) throws(ConfigurationErrors) -> SMTPServerConfiguration {
        try SMTPServerConfiguration.parse(text, file: "s.conf", environment: Self.environment)
    }

    func errors(_ text: String) -> [String] {
        do throws(ConfigurationErrors) {
            _ = try parse(text)
            return []
        } catch {
            return error.errors.map(\.description)
        }
    }

    @Test("values are read, variables expanded, comments and indented lines passed over")
    func values() throws {
        let configuration = try parse(
            """
            # comment
              PARAM maxsize nonsense, but indented
            PARAM maxsize 1000 # octets
            param BindPort $SMTPPORT
            PARAM BindAddress "$SMTPADDRESS"
            PARAM BindAddress [IPv6.2001:db8::1]
            PARAM BindAddress iface:v4:eth0:1
            PARAM BindSmtp any6 26
            PARAM min-availspace 10
            PARAM MAXSAMEIPSOURCE 7
            PARAM RcptLimitCount 5000
            PARAM NoCHUNKING
            PARAM NoPIPELINING
            PARAM PIPELINING-OK
            PARAM hdr220 %H "quotes" stay, $SMTPPORT too
            PARAM help  two blanks
            PARAM help
            PARAM tarpit 0 0 0
            * 999 ve
            """)
        #expect(configuration.maximumMessageSize == 1000)
        #expect(configuration.port == 2525)
        #expect(
            configuration.listeners.map(\.place) == [
                .address(.v4(0x7f00_0001)), .address(.v6(high: 0x2001_0db8_0000_0000, low: 1)),
                .interface("eth0:1", family: .ipv4), .anyIPv6,
            ])
        #expect(configuration.listeners.map(\.port) == [nil, nil, nil, 26])
        #expect(configuration.minimumFreeKilobytes == 1000, "less than 1000 means 1000")
        #expect(configuration.maximumSameSource == 7)
        #expect(configuration.maximumRecipients == 5000)
        #expect(!configuration.offersChunking)
        #expect(configuration.offersPipelining)
        #expect(configuration.greeting == ["%H \"quotes\" stay, $SMTPPORT too"])
        #expect(configuration.help == [" two blanks", ""])
    }

    @Test("policydb takes its type in either case, and $DBTYPE and $MAILVAR where zmailer.conf leaves them out")
    func policyDatabase() throws {
        typealias Database = SMTPServerConfiguration.PolicyDatabase
        let rows: [(String, Database)] = [
            ("", .files), ("PARAM policydb gdbm /a/b", .gdbm("/a/b")), ("PARAM policydb GDBM /a/b # x", .gdbm("/a/b")),
            ("PARAM policydb $DBTYPE $MAILVAR/db/smtp-policy", .gdbm("/var/m/db/smtp-policy")),
            ("PARAM policydb text", .files), ("PARAM policydb Text $MAILVAR/db", .files),
            ("PARAM policydb text $MAILVAR/db/smtp-policy", .files),
        ]
        for (line, expected) in rows {
            #expect(try parse("\(line)\n* ve\n").policyDatabase == expected, "\(line)")
        }
        let bare = try SMTPServerConfiguration.parse(
            "PARAM policydb $DBTYPE $MAILVAR/db/p\n* ve\n", file: "s.conf", environment: ZEnvironment())
        #expect(bare.policyDatabase == .gdbm("/var/lib/zmailer/db/p"))
    }

    @Test("SPF and percent-kludge parameters")
    func policyParameters() throws {
        let configuration = try parse(
            """
            PARAM spf-received
            PARAM spf-threshold SoftFail
            PARAM spf-localpolicy "include:a.example" mx
            PARAM spf-whitelist-use-default false
            PARAM no-reject-percent-kludge
            * ve
            """)
        #expect(configuration.addsReceivedSPF)
        #expect(configuration.spfThreshold == .softfail)
        #expect(configuration.spfLocalPolicy == "include:a.example mx")
        #expect(!configuration.rejectsPercentKludge)
        let plain = try parse("* ve\n")
        #expect(!plain.addsReceivedSPF && plain.rejectsPercentKludge)
        #expect(plain.spfThreshold == .fail && plain.spfLocalPolicy.isEmpty)
    }

    @Test("defaults are those of the man page")
    func defaults() throws {
        let configuration = try parse("* - \n")
        #expect(configuration.maximumMessageSize == 0)
        #expect(configuration.minimumFreeKilobytes == 5000)
        #expect(configuration.maximumErrorRecipients == 3)
        #expect(configuration.maximumUnknownCommands == 10)
        #expect(configuration.maximumSameSource == 100)
        #expect(configuration.maximumParallel == 800)
        #expect(configuration.maximumRecipients == 100)
        #expect(configuration.port == 25)
        #expect(configuration.listeners.isEmpty)
        #expect(!configuration.enablesRouter && !configuration.enablesVRFY && !configuration.enablesEXPN)
    }

    @Test("patterns keep their order, and the first that matches holds")
    func patterns() throws {
        let configuration = try parse(
            """
            localhost        999 ftveR
            bad.*            !go away, %s
            worse.example    1 !
            \\[*\\]            * ve
            *.example        strict
            127.0.0.1        -
            *                veR
            """)
        #expect(configuration.pattern(for: "LOCALHOST")?.effect == .style("ftveR"))
        #expect(configuration.pattern(for: "localhost")?.maximumLoad == 999)
        #expect(configuration.pattern(for: "bad.host")?.effect == .refuse("go away, %s"))
        #expect(configuration.pattern(for: "worse.example")?.effect == .refuse(""))
        #expect(configuration.pattern(for: "worse.example")?.maximumLoad == 2, "less than 2 means 2")
        #expect(configuration.pattern(for: "[192.0.2.1]")?.effect == .style("ve"))
        #expect(configuration.pattern(for: "[192.0.2.1]")?.maximumLoad == nil)
        #expect(configuration.pattern(for: "a.example")?.effect == .style("strict"))
        #expect(configuration.pattern(for: "127.0.0.1")?.effect == .style("-"))
        #expect(configuration.pattern(for: "")?.effect == .style("veR"))
    }

    @Test(
        "a mistake is told with line, key and what is valid",
        arguments: [
            ("PARAM", "s.conf:1: PARAM: a name is missing"),
            ("PARAM maxsise 5", "s.conf:1: PARAM maxsise: unknown parameter; did you mean maxsize?"),
            ("PARAM maxsize", "s.conf:1: PARAM maxsize: needs a number from 0 to 1000000000 (octets)"),
            ("PARAM maxsize 10M", "s.conf:1: PARAM maxsize: '10M' is not a number from 0 to 1000000000 (octets)"),
            (
                "PARAM maxsize 5 6", "s.conf:1: PARAM maxsize: takes one value, a number from 0 to 1000000000 (octets)"
            ),
            (
                "PARAM RcptLimitCount 50",
                "s.conf:1: PARAM RcptLimitCount: '50' is not a number from 100 to 1000000 (recipients)"
            ),
            (
                "PARAM BindPort $PORT",
                "s.conf:1: PARAM BindPort: '$PORT' is not a number from 1 to 65535; $PORT is not set in zmailer.conf"
            ),
            ("PARAM NoDSN yes", "s.conf:1: PARAM NoDSN: takes no value; remove 'yes'"),
            (
                "PARAM BindAddress eth0",
                "s.conf:1: PARAM BindAddress: 'eth0' is no address; valid are [a.b.c.d], [IPv6:x::y], any, any6, "
                    + "iface:name, iface:v4:name, iface:v6:name"
            ),
            (
                "PARAM BindSmtp any smtp",
                "s.conf:1: PARAM BindSmtp: 'smtp' is no port; valid is a number from 1 to 65535"
            ),
            ("PARAM BindAddress \"any", "s.conf:1: PARAM BindAddress: a quote is not closed"),
            ("PARAM use-tls", "s.conf:1: PARAM use-tls: needs PARAM tls-cert-file"),
            ("PARAM MSA-mode", "s.conf:1: PARAM MSA-mode: needs PARAM smtp-auth or smtp-auth-sasl"),
            (
                "PARAM policydb",
                "s.conf:1: PARAM policydb: needs a type and a path; valid is gdbm and a path without its .gdbm, or text "
                    + "for the files of /var/m/db"
            ),
            (
                "PARAM policydb gdbm",
                "s.conf:1: PARAM policydb: needs a path; valid is gdbm and a path without its .gdbm, or text for the "
                    + "files of /var/m/db"
            ),
            (
                "PARAM policydb gdbm db/smtp-policy",
                "s.conf:1: PARAM policydb: 'db/smtp-policy' is no absolute path; valid is gdbm and a path without its "
                    + ".gdbm, or text for the files of /var/m/db"
            ),
            (
                "PARAM policydb gdbm $MAILVAR/db/smtp-policy.gdbm",
                "s.conf:1: PARAM policydb: '/var/m/db/smtp-policy.gdbm': write the base name /var/m/db/smtp-policy, "
                    + ".gdbm is appended"
            ),
            (
                "PARAM policydb BTREE $MAILVAR/db/smtp-policy",
                "s.conf:1: PARAM policydb: 'BTREE' is not what makedb builds here: databases are gdbm; run "
                    + "policy-builder.sh with DBTYPE=gdbm and write gdbm"
            ),
            (
                "PARAM policydb oracle /x",
                "s.conf:1: PARAM policydb: 'oracle' is no type of database; valid is gdbm and a path without its .gdbm, "
                    + "or text for the files of /var/m/db"
            ),
            (
                "PARAM policydb text /elsewhere",
                "s.conf:1: PARAM policydb: '/elsewhere': text is read from /var/m/db alone; valid is gdbm and a path "
                    + "without its .gdbm, or text for the files of /var/m/db"
            ),
            (
                "PARAM spf-threshold hard",
                "s.conf:1: PARAM spf-threshold: needs one of fail, softfail, none, neutral, pass"
            ),
            (
                "PARAM spf-whitelist-use-default true",
                "s.conf:1: PARAM spf-whitelist-use-default: true cannot be had: the list that it stands for, "
                    + "spf.trusted-forwarder.org, is no more; valid is false, or PARAM spf-localpolicy include:LIST for "
                    + "a list of your own"
            ),
            ("PARAM spf-localpolicy", "s.conf:1: PARAM spf-localpolicy: needs a value"),
            ("PARAM use-tcp-wrapper yes", "s.conf:1: PARAM use-tcp-wrapper: takes no value; remove 'yes'"),
            ("PARAM tarpit 1", "s.conf:1: PARAM tarpit: needs three numbers: initial delay, exponent, limit"),
            ("PARAM tarpit -1 2 3", "s.conf:1: PARAM tarpit: needs three numbers: initial delay, exponent, limit"),
            (
                "PARAM perl-hook /x",
                "s.conf:1: PARAM perl-hook: not available in this version (scripts in this process; a content filter "
                    + "can be one); remove the line"
            ),
            (
                "PARAM contentfilter filter",
                "s.conf:1: PARAM contentfilter: 'filter' is not an absolute path of a program, or unix: and that of a socket"
            ),
            (
                "PARAM contentfilter /filter -v",
                "s.conf:1: PARAM contentfilter: takes one value, an absolute path of a program, or unix: and that of a "
                    + "socket; a filter has no arguments"
            ),
            ("PARAM contentfilter-user", "s.conf:1: PARAM contentfilter-user: needs the name of an account"),
            (
                "PARAM contentfilter-failure reject",
                "s.conf:1: PARAM contentfilter-failure: needs one of freeze, defer, accept"
            ),
            (
                "PARAM contentfilter-maxpar 21",
                "s.conf:1: PARAM contentfilter-maxpar: '21' is not a number from 1 to 20 (processes)"
            ),
            ("PARAM no-contentfilter x", "s.conf:1: PARAM no-contentfilter: takes no value; remove 'x'"),
            ("PARAM VRFYcmd", "s.conf:1: PARAM VRFYcmd: needs PARAM enable-router"),
            ("PARAM lmtp-mode", "s.conf:1: PARAM lmtp-mode: not on port 25, which is SMTP's; set PARAM BindPort"),
            ("foo", "s.conf:1: pattern foo: a style is missing; valid are letters of ftveRSh, or strict, sloppy, -"),
            (
                "foo 9 vx",
                "s.conf:1: pattern foo: 'vx' is no style; valid are letters of ftveRSh, or strict, sloppy, -"
            ),
            (
                "foo high ve",
                "s.conf:1: pattern foo: 'high' is no load average; valid is pattern [maxload] style, or pattern !text"
            ),
            ("foo T", "s.conf:1: pattern foo: style letter 'T' is not available: each recipient is always checked"),
            ("foo F", "s.conf:1: pattern foo: style letter 'F' is not available: each sender is always checked"),
            ("foo D", "s.conf:1: pattern foo: style letter 'D' is not available: an aborted message leaves no file"),
        ])
    func mistake(line: String, expected: String) {
        #expect(errors(line + "\n* 999 ve\n") == [expected])
    }

    @Test("all mistakes are reported at once, in order")
    func allAtOnce() {
        #expect(
            errors("PARAM foo-bar-baz-qux 1\nPARAM maxsize x\n* q\n").map { $0.prefix(9) }
                == ["s.conf:1:", "s.conf:2:", "s.conf:3:"])
    }

    @Test("an unknown name far from all others gets the list of names")
    func unknownName() {
        let error = errors("PARAM xyzzyplugh 1\n* ve\n").first ?? ""
        #expect(error.contains("; valid are maxsize min-availspace"))
        #expect(!error.contains("perl-hook"))
    }

    @Test("a file without a pattern line would serve nobody")
    func noPattern() {
        #expect(
            errors("PARAM maxsize 0\n")
                == ["s.conf: no HELO pattern line, so that no client would be served; usual is '* 999 ve'"])
    }

    @Test("no more greeting lines than a client has to read")
    func tooManyLines() {
        let text = String(repeating: "PARAM hdr220 x\n", count: 5) + "* ve\n"
        #expect(errors(text) == ["s.conf:5: PARAM hdr220: at most 4 such lines are possible"])
    }

    @Test("every name of the man page is known: used or reported, never passed over")
    func manPageNames() {
        let names = """
            maxsize min-availspace max-error-recipients MaxSameIpSource MaxParallelConnections ListenQueueSize \
            TcpRcvBufferSize TcpXmitBufferSize RcptLimitCount BindPort BindAddress DEBUGcmd EXPNcmd VRFYcmd \
            enable-router smtp-auth AUTH-LOGIN-also-without-TLS smtp-auth-sasl smtp-mechanisms sasl-mechanisms \
            MSA-mode SMTP-auth-pipe use-tcp-wrapper No8BITMIME NoCHUNKING NoDSN NoEHLO NoENCHANCEDSTATUS \
            NoENCHANCEDSTATUSCODES NoETRN NoPIPELINING no-multiline-replies force-rcpt-notify-never hdr220 help \
            policydb contentfilter debug-contentfilter tarpit use-tls tls-CAfile tls-cert-file tls-key-file \
            tls-dcert-file tls-dkey-file tls-dh512 tls-dh1024 listen-ssmtp outlook-tls-bug tls-loglevel \
            tls-ccert-vd tls-ask-cert tls-CApath tls-enforce-tls rcvd-ident rcvd-whoson rcvd-auth-user \
            rcvd-tls-mode rcvd-tls-peer etrn-cluster lmtp-mode tls-random-source max-unknown-commands \
            allowsourceroute tls-require-cert rcvd-tls-ccert
            """
        for name in names.split(separator: " ") {
            let reported = errors("PARAM \(name)\n* ve\n").joined()
            #expect(!reported.contains("unknown parameter"), "\(name)")
        }
    }
}
