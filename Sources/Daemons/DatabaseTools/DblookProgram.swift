import Glibc
import Policy
import ProgramKit
import Tables

/// `dblook [-dump|-policydump] dbtype basename [key]`.
public enum DblookProgram {
    static let usage = """
        usage: dblook [-dump|-policydump] dbtype basename [key]
          -dump                   Print all keys and values as they are stored
          -policydump             Print all entries of a policy database as source
          -version                Print the version
          -help                   Print this
        With a key, prints its value: of a policy database as source, with file and line of what it was made from.
        dbtype: \(DatabaseType.listing)

        """

    enum Action: Hashable {
        case look(String)
        case dump
        case policyDump
        case help
        case version
    }
    struct Request: Hashable {
        var action: Action
        var path = ""
        var note: String?
    }

    /// `arguments`: without the program's name.
    static func request(_ arguments: [String]) throws(UsageError) -> Request {
        var words = arguments[...]
        var action: Action?
        while let word = words.first, word.hasPrefix("-"), word != "-" {
            words.removeFirst()
            if word == "--" { break }
            guard action == nil else { throw UsageError("'\(word)' is one option too many") }
            switch word {
            case "-dump", "--dump": action = .dump
            case "-policydump", "--policydump": action = .policyDump
            case "-version", "--version", "-V": action = .version
            case "-help", "--help", "-h": action = .help
            default: throw UsageError("unknown option '\(word)'")
            }
        }
        if action == .help || action == .version { return Request(action: action ?? .help) }
        let operands = Array(words)
        guard operands.count == (action == nil ? 3 : 2) else {
            throw UsageError(
                action == nil
                    ? "a type, a base name and a key are needed" : "behind the option a type and a base name are needed"
            )
        }
        guard let type = DatabaseType(name: operands[0]) else {
            throw UsageError("'\(operands[0])' is no database type; there are \(DatabaseType.listing)")
        }
        guard type == .gdbm else { throw UsageError("type \(operands[0]): there is no database to look into") }
        return Request(
            action: action ?? .look(operands[2]), path: operands[1] + type.suffix,
            note: DatabaseType.note(name: operands[0]))
    }

    /// - Parameter arguments: the program's name first.
    public static func run(_ arguments: [String]) -> Never {
        let request: Request
        do throws(UsageError) {
            request = try Self.request(Array(arguments.dropFirst()))
        } catch {
            Program.fail("dblook: \(error)\n\(usage)", .usage)
        }
        if let note = request.note { Program.print("dblook: \(note)", to: 2) }
        var output = Output()
        do throws(GDBMFailure) {
            switch request.action {
            case .help: Program.print(usage)
            case .version: Program.print("ZMailer dblook \(Program.version)")
            case .dump:
                try GDBMReader(path: request.path).forEach { key, value in
                    output.add("\(RawText.text(key))\t\(RawText.text(value))")
                }
            case .policyDump:
                try dump(GDBMReader(path: request.path), request.path, &output)
            case .look(let key):
                guard let lines = try look(GDBMReader(path: request.path), key, request.path) else {
                    Program.print("dblook: \(key): not found", to: 2)
                    exit(1)
                }
                for line in lines { output.add(line) }
            }
        } catch {
            output.flush()
            Program.fail("dblook: \(error)", error.code == 0 ? .dataError : .noInput)
        }
        output.flush()
        exit(0)
    }

    private static func dump(_ reader: GDBMReader, _ path: String, _ output: inout Output) throws(GDBMFailure) {
        guard let metadata = try reader.octets(for: PolicyKey.metadata) else {
            Program.fail("dblook: \(path): is no policy database (makedb -p), or not finished; try -dump", .dataError)
        }
        output.add("# \(RawText.text(metadata.last == 0 ? metadata.dropLast() : metadata))")
        try reader.forEach { key, value in
            if key == PolicyKey.metadata { return }
            guard let key = PolicyKey(octets: key) else {
                return output.add("# unknown key \(RawText.text(key)): \(RawText.text(value))")
            }
            for line in PolicyText.lines(key, value) { output.add(line) }
        }
    }

    /// `nil`: not found.
    static func look(_ reader: GDBMReader, _ key: String, _ path: String) throws(GDBMFailure) -> [String]? {
        guard try reader.octets(for: PolicyKey.metadata) != nil else {
            return try reader.octets(for: Array(key.utf8)).map { [RawText.text($0)] }
        }
        guard let (policyKey, problem) = PolicyText.key(key) else { return nil }
        if let problem { Program.fail("dblook: \(problem)", .usage) }
        return try policyKey.flatMap { (key) throws(GDBMFailure) in
            try reader.octets(for: key.octets).map { PolicyText.lines(key, $0) }
        }
    }

    /// Standard output, in large portions.
    struct Output {
        private var octets: [UInt8] = []

        mutating func add(_ line: String) {
            octets += line.utf8
            octets.append(0x0a)
            if octets.count >= 1 << 16 { flush() }
        }

        /// Ends the program if nobody reads any more.
        mutating func flush() {
            var rest = octets[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
                if count > 0 {
                    rest = rest.dropFirst(count)
                } else if errno != EINTR {
                    exit(ExitCode.ioError.rawValue)
                }
            }
            octets.removeAll(keepingCapacity: true)
        }
    }
}
