import Glibc
import ProgramKit

/// `makedb [-l|-u] [-A] [-a|-c|-p] [-s|-v] dbtype basename [inputfile|-]`.
public enum MakedbProgram {
    static let specs = [
        OptionSpec("a", nil, "The input is of the form of aliases: name: target, target"),
        OptionSpec("c", nil, "The input is user:credential; the database can be read by its owner alone"),
        OptionSpec("p", nil, "The input is policy source; compile it"),
        OptionSpec("A", nil, "Put the data of equal keys together; without it the first one holds, with a warning"),
        OptionSpec("l", nil, "Fold keys to lower case (policy keys always are)"),
        OptionSpec("u", nil, "Fold keys to upper case"),
        OptionSpec("s", nil, "Say nothing but mistakes"),
        OptionSpec("v", nil, "Say more: time and files"),
        OptionSpec("V", "version", "Print the version"),
        OptionSpec("h", "help", "Print this"),
    ]

    static let usage =
        CommandLineOptions.usage("makedb", "[-l|-u] [-A] [-a|-c|-p] [-s|-v] dbtype basename [inputfile|-]", specs)
        + "dbtype: \(DatabaseType.listing)\n"

    /// - Parameter arguments: the program's name first.
    public static func run(_ arguments: [String]) -> Never {
        let options: CommandLineOptions
        let request: DatabaseBuilder.Request
        do throws(UsageError) {
            options = try CommandLineOptions.parse(arguments, specs)
            if options.has("h") {
                Program.print(usage)
                exit(0)
            }
            if options.has("V") {
                Program.print("ZMailer makedb \(Program.version)")
                exit(0)
            }
            request = try Self.request(options)
        } catch {
            Program.fail("makedb: \(error)\n\(usage)", .usage)
        }
        let isSilent = options.has("s")
        if let note = DatabaseType.note(name: options.operands[0]), !isSilent {
            Program.print("makedb: \(note)", to: 2)
        }
        exit(build(request, isSilent: isSilent, isVerbose: options.has("v")).rawValue)
    }

    /// Builds, and says what it did or what is wrong.
    static func build(_ request: DatabaseBuilder.Request, isSilent: Bool, isVerbose: Bool = false) -> ExitCode {
        let started = milliseconds(CLOCK_MONOTONIC)
        do throws(DatabaseBuilder.Failure) {
            let outcome = try DatabaseBuilder(request: request, now: milliseconds(CLOCK_REALTIME) / 1000).run()
            if !isSilent { say(outcome, request, isVerbose: isVerbose, since: started) }
            return .ok
        } catch {
            for line in error.lines { Program.print("makedb: \(line)", to: 2) }
            let file = request.basename + request.type.suffix
            if request.type == .gdbm { Program.print("makedb: \(file) was not written", to: 2) }
            return error.code
        }
    }

    private static func milliseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    static func request(_ options: CommandLineOptions) throws(UsageError) -> DatabaseBuilder.Request {
        func both(_ one: String, _ other: String) throws(UsageError) {
            if options.has(one), options.has(other) { throw UsageError("-\(one) and -\(other) exclude each other") }
        }
        try both("l", "u")
        try both("a", "p")
        for other in ["a", "p", "A", "l", "u"] { try both("c", other) }
        try both("s", "v")
        guard (2...3).contains(options.operands.count) else {
            throw UsageError("a type, a base name and an input file are needed, not \(options.operands.count) words")
        }
        var request = DatabaseBuilder.Request()
        guard let type = DatabaseType(name: options.operands[0]) else {
            throw UsageError("'\(options.operands[0])' is no database type; there are \(DatabaseType.listing)")
        }
        request.type = type
        request.basename = options.operands[1]
        guard let last = request.basename.utf8.last, last != UInt8(ascii: "/") else {
            throw UsageError("'\(request.basename)' is no base name of a file")
        }
        // ZMailer reads the file of that name if none is given; a terminal would wait for ever.
        request.input = options.operands.count == 3 ? options.operands[2] : request.basename
        request.form =
            options.has("p")
            ? .policy : options.has("c") ? .credentials : options.has("a") ? .aliases : .plain
        request.fold = options.has("l") ? .lower : options.has("u") ? .upper : .none
        request.appends = options.has("A")
        return request
    }

    private static func say(
        _ outcome: DatabaseBuilder.Outcome, _ request: DatabaseBuilder.Request, isVerbose: Bool, since: Int64
    ) {
        for warning in outcome.warnings { Program.print("makedb: warning: \(warning)", to: 2) }
        if outcome.warningCount > outcome.warnings.count {
            Program.print("makedb: … and \(outcome.warningCount - outcome.warnings.count) warnings more", to: 2)
        }
        let what =
            switch request.type {
            case .gdbm: request.basename + request.type.suffix
            case .text: "\(request.input) is right (type text: nothing is written)"
            }
        var text = "makedb: \(what): \(outcome.keys) keys"
        if outcome.repeated > 0 { text += ", \(outcome.repeated) lines with a key that was there" }
        if isVerbose {
            let elapsed = milliseconds(CLOCK_MONOTONIC) - since
            text += ", from \(request.input), in \(elapsed / 1000).\(String(elapsed % 1000 + 1000).dropFirst()) s"
        }
        Program.print(text)
    }
}
