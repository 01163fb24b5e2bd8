import MailModel
import Testing

@testable import SASL

@Suite("What a table holds of a user") struct StoredCredentialTests {
    private static let key = Base64.encode(digest)
    private static let scram = "{SCRAM-SHA-256}4096:c2FsdA==:\(key):\(key)"

    @Test(
        "hashes and SCRAM keys are taken, and come back as they were",
        arguments: [
            ("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7", "$y$j9T$"),
            (
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI68OTLiBFdcbYEdFCoEOfaS35inz1",
                "$6$"
            ),
            ("$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM", "$6$rounds=10000$"),
            ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", "$5$"),
            ("$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", "$2b$12$"),
            ("$1$abc$W7kCoTBqOgbGEVkUyuOF/0", "$1$"),
            ("$7$CU..../....2Q9obwLhin8qvQl6sisAO/$E1HizYWxBmnIH4sdP", "$7$CU..../...."),
            (scram, "{SCRAM-SHA-256}4096:4"),
        ])
    func taken(text: String, kind: String) {
        #expect(StoredCredential(text.utf8)?.text == text)
        #expect(StoredCredential(text.utf8)?.kind == kind)
    }

    @Test("nothing, and what begins with * or !, lets nobody in", arguments: ["", "*", "!", "!!", "!$6$a$b", "*LK*"])
    func locked(text: String) {
        #expect(StoredCredential(text.utf8) == .locked)
    }

    @Test(
        "what else there is, is no credential",
        arguments: [
            "x", "sesame", "ab01FAX.bQRSU", "_J9..CCCCXBrJUJV154M", "$3$$8846f7eaee8fb117ad06bdd830b7586c", "$", "$y",
            "$6", "$2x$05$abc", "$md5$abc$", "$sha1$1$a$b", "$6$a b$c", "$6$a:b$c", "$6$ä$c", "$6$a\u{1}$c", "$6$*$c",
            "$6$" + String(repeating: "a", count: 400), "{PLAIN}sesame", "{SCRAM-SHA-1}4096:c2FsdA==:a:b",
            "{SCRAM-SHA-256}", "{SCRAM-SHA-256}4096:c2FsdA==:\(key)", "{SCRAM-SHA-256}4095:c2FsdA==:\(key):\(key)",
            "{SCRAM-SHA-256}1000001:c2FsdA==:\(key):\(key)", "{SCRAM-SHA-256}4096::\(key):\(key)",
            "{SCRAM-SHA-256}4096:c2FsdA==:YQ==:\(key)", "{SCRAM-SHA-256}4096:c2FsdA==:\(key):YQ==",
            "{SCRAM-SHA-256}4096:c2FsdA:\(key):\(key)", "{SCRAM-SHA-256}4096:c2FsdA==:\(key):\(key):",
            "{scram-sha-256}4096:c2FsdA==:\(key):\(key)",
        ])
    func refused(text: String) {
        #expect(StoredCredential(text.utf8) == nil)
    }

    @Test("a line is a name, a colon and a credential")
    func lines() throws {
        func parsed(_ line: String) throws -> CredentialEntry? { try CredentialEntry.parse(Array(line.utf8)[...]) }
        #expect(try parsed("") == nil)
        #expect(try parsed("  \t") == nil)
        #expect(try parsed("# alice:*") == nil)
        #expect(try parsed("   # alice") == nil)
        #expect(try parsed("alice:") == CredentialEntry(user: alice, credential: .locked))
        #expect(try parsed("alice:* \r") == CredentialEntry(user: alice, credential: .locked))
        #expect(try parsed("alice:\(Self.scram)")?.line == "alice:\(Self.scram)")
        #expect(
            try parsed("Jörg Müller:$1$a$b") == CredentialEntry(user: name("Jörg Müller"), credential: .crypt("$1$a$b"))
        )
        for (line, mistake) in [
            ("alice", .noColon), (":*", .userName), (" alice:*", .userName), ("alice :*", .userName),
            ("a\tb:*", .userName), ("alice:sesame", .credential),
            ("alice: $1$a$b", .credential), ("alice:$1$a$b:1000:100::", .credential),
        ] as [(String, CredentialEntry.Mistake)] {
            #expect(throws: mistake) { try parsed(line) }
        }
        #expect(!CredentialEntry.Mistake.credential.rawValue.contains("sesame"))
    }

    @Test(
        "a text that every SASLprep leaves alone is known",
        arguments: [
            ("sesame", true), ("s e+s~", true), ("groß", true), ("Ünï", true), ("пароль", true), ("密码", true),
            ("cafe\u{301}", false), ("ﬁ", false), ("Ａ", false), ("a\u{a0}b", false), ("a\u{ad}b", false), ("½", false),
            ("\u{212b}", false), ("😀", false), ("a\tb", false), ("\u{1100}\u{1161}", false), ("סיסמה", false),
        ])
    func stable(text: String, isStable: Bool) {
        #expect(SASLPreparation.isStable(text) == isStable)
    }
}
