import Configuration
import Testing

@Suite("zmailer.conf") struct ZEnvironmentTests {
    @Test(
        "assignments are read as the shell would",
        arguments: [
            ("", [:]), ("\n\n# comment\n  # another\n", [:]), ("A=1", ["A": "1"]),
            ("A=1\nB=2\n", ["A": "1", "B": "2"]),
            ("A=1\r\nB=2\r\n", ["A": "1", "B": "2"]), ("\u{feff}A=1\n", ["A": "1"]), ("  A=1  \n", ["A": "1"]),
            ("export A=1\nexport\tB=2\nexport  C=3", ["A": "1", "B": "2", "C": "3"]),
            ("A=\nB=''\n", ["A": "", "B": ""]),
            ("A='x y'\nB=\"x y\"\n", ["A": "x y", "B": "x y"]), ("A=1 # why\n", ["A": "1"]), ("A=a#b\n", ["A": "a#b"]),
            ("A='#'\n", ["A": "#"]), ("A=x'y z'\"w\"v\n", ["A": "xy zwv"]), ("A=1\nA=2\n", ["A": "2"]),
            (
                "A=/x\nB=$A/y\nC=${A}z\nD=\"$A $B\"\nE='$A'\n",
                ["A": "/x", "B": "/x/y", "C": "/xz", "D": "/x /x/y", "E": "$A"]
            ),
            ("A=1\nB=$(A)2\n", ["A": "1", "B": "12"]), ("A=$$\nB=a$\nC=$-\n", ["A": "$", "B": "a$", "C": "$-"]),
            ("A=b=c\n", ["A": "b=c"]),
            ("A=\"it's\"\n", ["A": "it's"]), ("_a1=ü\n", ["_a1": "ü"]), ("A=\u{301}x\n", ["A": "\u{301}x"]),
        ] as [(String, [String: String])])
    func reading(text: String, values: [String: String]) throws {
        #expect(try ZEnvironment.parse(text, file: "z").values == values)
    }

    @Test(
        "mistakes are named with line and key",
        arguments: [
            ("A", [1]), ("A=1\nB\nC=3\nD", [2, 4]), ("=x", [1]), ("1A=x", [1]), ("A B=x", [1]), ("A-B=x", [1]),
            ("A =x", [1]), ("ü=x", [1]),
            ("A='x", [1]), ("A=\"x\n", [1]), ("A=x y", [1]), ("A=$B", [1]), ("A=\"${B}\"", [1]), ("A=$A", [1]),
            ("B=$A\nA=1", [1]),
            ("A=1\r\nB\r\nC=2\r\nD=$X\r\n", [2, 4]), ("A='x' y", [1]),
        ])
    func mistakes(text: String, lines: [Int]) throws {
        let error = try #require(throws: ConfigurationErrors.self) { try ZEnvironment.parse(text, file: "/etc/z") }
        #expect(error.errors.map(\.line) == lines)
        #expect(error.errors.allSatisfy { $0.file == "/etc/z" && !$0.reason.isEmpty })
        #expect(error.description.split(separator: "\n").allSatisfy { $0.hasPrefix("/etc/z:") })
    }

    @Test(
        "names in other files' texts are replaced, unknown ones stay",
        arguments: [
            ("$A/x", "1/x"), ("${A}x", "1x"), ("$(A)x", "1x"), ("$Ax", "$Ax"), ("${A", "${A"), ("$(A}", "$(A}"),
            ("$B", "$B"), ("$$A", "$A"),
            ("$", "$"), ("", ""), ("$A$A", "11"), ("${}", "${}"), ("$$$A", "$1"), ("a$Aü", "a1ü"),
            ("$A\u{301}", "$A\u{301}"),
        ])
    func expanding(text: String, result: String) {
        #expect(ZEnvironment(values: ["A": "1"]).expanding(text) == result)
    }

    @Test("known places have defaults, and what is set wins")
    func places() {
        var environment = ZEnvironment()
        #expect(environment.postoffice == "/var/spool/postoffice" && environment.mailbin == "/usr/libexec/zmailer")
        #expect(environment.mailshare == "/etc/zmailer" && environment.mailvar == "/var/lib/zmailer")
        environment["POSTOFFICE"] = "/p"
        environment["LOGDIR"] = "/l"
        #expect(environment.postoffice == "/p" && environment.logdir == "/l")
        #expect(environment["NOTHING"] == nil)
    }

    @Test("an error of the whole file has no line")
    func description() {
        #expect(ConfigurationError(file: "f", line: 0, key: "", reason: "r").description == "f: r")
        #expect(ConfigurationError(file: "f", line: 3, key: "K", reason: "r").description == "f:3: K: r")
    }
}
