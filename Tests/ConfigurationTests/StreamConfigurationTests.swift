import Configuration
import Testing

@Suite("sm.conf")
struct StreamConfigurationTests {
    private func parse(_ text: String) throws -> StreamConfiguration {
        try StreamConfiguration.parse(
            text, file: "sm.conf", environment: ZEnvironment(values: ["MAILBIN": "/opt/bin", "TAG": "a b"]))
    }

    @Test("a line is a mailer: flags, program, its own name, arguments")
    func lines() throws {
        let configuration = try parse(
            """
            # comment
             a line that begins with a blank is one too
            procm\tsSPfn\t/usr/bin/procmail\tprocmail -a $h -d $u\r
            usenet - ${MAILBIN}/usenet

            uucp  U   /usr/bin/uux  uux - -a$g "-gC x" $h!rmail ($U) $$${TAG}
            """)
        #expect(configuration.mailers.map(\.name) == ["procm", "usenet", "uucp"])
        let procmail = try #require(configuration.mailer("procm"))
        #expect(procmail.line == 3)
        #expect(
            procmail.flags == [
                .stripsQuotes, .keepsIdentity, .addsReturnPath, .namesSenderByF, .omitsSeparator,
            ])
        #expect(procmail.program == "/usr/bin/procmail")
        #expect(
            procmail.arguments.map(\.parts) == [[.text("-a")], [.host], [.text("-d")], [.recipient]])
        #expect(procmail.arguments.map(\.namesRecipient) == [false, false, false, true])
        let usenet = try #require(configuration.mailer("usenet"))
        #expect(usenet.program == "/opt/bin/usenet" && usenet.arguments.isEmpty && usenet.flags == [])
        let uucp = try #require(configuration.mailer("uucp"))
        #expect(
            uucp.arguments.map(\.parts) == [
                [.text("-")], [.text("-a"), .sender], [.text("-gC x")], [.host, .text("!rmail")],
                [.text("("), .lowercasedRecipient, .text(")")], [.text("$a b")],
            ])
        #expect(configuration.mailer("nothere") == nil)
    }

    @Test(
        "flags",
        arguments: [
            ("-", StreamMailerFlags()), ("7", [.stripsEighthBit]), ("8", [.takesEightBit]),
            ("9", [.takesEightBit, .decodesQuotedPrintable]), ("b", [.batch]), ("B", [.batch, .extendedBatch]),
            ("BB", [.batch, .extendedBatch, .notaryBatch]), ("BHB", [.batch, .extendedBatch, .notaryBatch, .greets]),
            ("e", [.addsEnvelopeFields]), ("E", [.quotesSeparators]), ("f", [.namesSenderByF]),
            ("bH", [.batch, .greets]), ("m", [.takesManyRecipients]), ("n", [.omitsSeparator]),
            ("O", [.addsOriginalRecipient]), ("P", [.addsReturnPath]), ("r", [.namesSenderByR]),
            ("R", [.endsLinesInCRLF]), ("s", [.stripsQuotes]), ("S", [.keepsIdentity]), ("U", [.addsRemoteFrom]),
            ("X", [.stuffsDots]), ("lsDFMAw5:|/@q", [.stripsQuotes]),
        ] as [(String, StreamMailerFlags)])
    func flags(word: String, expected: StreamMailerFlags) throws {
        #expect(try parse("m \(word) /bin/cat cat").mailer("m")?.flags == expected)
    }

    @Test(
        "mistakes name their line and what is valid",
        arguments: [
            ("m", "sm.conf:1: m: lacks words; valid is: mailer flags program name arguments..."),
            ("m n", "lacks words"), ("ü n /bin/cat", "is no name of a mailer"), ("m n bin/cat cat", "absolute path"),
            ("m ! /bin/cat", "'!' is no flag; valid are 7 8 9"), ("m ü /bin/cat", "octet 195 is no flag"),
            ("m 78 /bin/cat", "7 and 8 (or 9) exclude each other"), ("m fr /bin/cat", "f and r exclude each other"),
            ("m H /bin/cat", "H needs b or B"), ("m Ub /bin/cat", "U and b (or B) exclude each other"),
            ("m n /bin/cat cat $x", "valid are $g $h $u $U $$ ${NAME}"), ("m n /bin/cat cat $", "valid are $g"),
            ("m n /bin/cat cat ${NAME", "is not closed; valid is ${NAME}"),
            ("m n /bin/cat cat ${NAME}", "${NAME} is not set in zmailer.conf"),
            ("m n /bin/$u cat", "only ${NAME} is valid in it"), ("m n /bin/cat cat \"x", "a quote is not closed"),
            ("m n /bin/cat cat \u{1}", "control character"),
            ("m n /a a\nm n /b b", "sm.conf:2: m: is defined in line 1"),
            ("m n /bin/cat" + String(repeating: " x", count: 300), "more than 200 words"),
        ])
    func mistakes(text: String, expected: String) {
        let error = #expect(throws: ConfigurationErrors.self) { try parse(text) }
        #expect(error?.description.contains(expected) == true, "\(error?.description ?? "none")")
    }

    @Test("all mistakes are told together")
    func together() {
        let error = #expect(throws: ConfigurationErrors.self) { try parse("a n b\nok n /b\nc ! /d") }
        #expect(error?.errors.map(\.line) == [1, 3])
    }
}
