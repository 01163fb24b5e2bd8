import ProgramKit
import Testing

/// getopt(3) keeps global state: one test at a time.
@Suite("Command lines", .serialized) struct OptionsTests {
    static let specs = [
        OptionSpec("i", nil, "interactive"), OptionSpec("p", "port", value: "PORT", "port"),
        OptionSpec(nil, "foreground", "stay"), OptionSpec("Z", nil, value: "FILE", "configuration"),
        OptionSpec(nil, "form", value: "F", "form"),
    ]

    struct Row: Sendable, CustomTestStringConvertible {
        let arguments: [String]
        let options: [String]
        var operands: [String] = []
        var testDescription: String { arguments.joined(separator: " ") }
    }

    static let rows = [
        Row(arguments: [], options: []),
        Row(arguments: ["-i"], options: ["i="]),
        Row(arguments: ["-p", "2525"], options: ["p=2525"]),
        Row(arguments: ["-p2525"], options: ["p=2525"]),
        Row(arguments: ["-ip2525", "-i"], options: ["i=", "p=2525", "i="]),
        Row(arguments: ["--port", "25"], options: ["p=25"]),
        Row(arguments: ["--port=25"], options: ["p=25"]),
        Row(arguments: ["--port="], options: ["p="]),
        Row(arguments: ["--po", "25"], options: ["p=25"]),
        Row(arguments: ["--foreground", "-Z", "ü"], options: ["foreground=", "Z=ü"]),
        Row(arguments: ["-p", "-i"], options: ["p=-i"]),
        Row(arguments: ["-p", "--foreground"], options: ["p=--foreground"]),
        Row(arguments: ["-i", "x", "-i"], options: ["i="], operands: ["x", "-i"]),
        Row(arguments: ["--", "-i"], options: [], operands: ["-i"]),
        Row(arguments: ["-"], options: [], operands: ["-"]),
        Row(arguments: ["", "x"], options: [], operands: ["", "x"]),
        Row(arguments: ["-p", "1", "-p", "2"], options: ["p=1", "p=2"]),
    ]

    @Test("options and operands are read", arguments: rows)
    func reading(row: Row) throws {
        let parsed = try CommandLineOptions.parse(["program"] + row.arguments, Self.specs)
        #expect(parsed.options.map { "\($0.key)=\($0.value)" } == row.options)
        #expect(parsed.operands == row.operands)
    }

    @Test(
        "mistakes are named",
        arguments: [
            (["-x"], "unknown option '-x'"), (["-ix"], "unknown option '-x'"), (["-p"], "option '-p' needs a value"),
            (["-ip"], "option '-p' needs a value"), (["--port"], "option '--port' needs a value"),
            (["--nothing"], "unknown option '--nothing'"), (["--nothing=1"], "unknown option '--nothing=1'"),
            (["--fo"], "unknown option '--fo'"), (["--foreground=yes"], "option '--foreground=yes' takes no value"),
            (["-é"], "unknown option '-\\xc3'"), (["-\u{7f}"], "unknown option '-\u{7f}'"),
            (["-i", "-:"], "unknown option '-:'"),
            (["-W"], "unknown option '-W'"), (["-?"], "unknown option '-?'"),
        ])
    func mistakes(arguments: [String], text: String) throws {
        let error = try #require(throws: UsageError.self) {
            try CommandLineOptions.parse(["program"] + arguments, Self.specs)
        }
        #expect(error.description == text)
    }

    @Test("the last value counts, all can be had")
    func values() throws {
        let parsed = try CommandLineOptions.parse(["program", "-p", "1", "-i", "-p", "2"], Self.specs)
        #expect(parsed.value("p") == "2" && parsed.values("p") == ["1", "2"])
        #expect(parsed.has("i") && !parsed.has("foreground") && parsed.value("Z") == nil)
    }

    @Test("no arguments at all, not even a name, are none")
    func nothing() throws {
        #expect(try CommandLineOptions.parse([], Self.specs).operands.isEmpty)
    }

    @Test("the usage text names every option once")
    func usage() {
        let text = CommandLineOptions.usage("program", "[options]", Self.specs)
        #expect(text.hasPrefix("usage: program [options]\n"))
        #expect(text.contains("  -p, --port PORT") && text.contains("  --foreground ") && text.contains("  -i "))
        #expect(text.split(separator: "\n").count == 1 + Self.specs.count)
    }
}
