import CPosix
import Glibc
import Synchronization

/// One option of a program, parsed by getopt_long(3): a letter, a long name, or both.
public struct OptionSpec: Sendable {
    public let letter: Character?
    public let name: String?
    /// What the value is called in the usage text; `nil`: the option takes none.
    public let value: String?
    /// One line for `--help`.
    public let help: String

    public init(_ letter: Character?, _ name: String? = nil, value: String? = nil, _ help: String) {
        self.letter = letter
        self.name = name
        self.value = value
        self.help = help
    }

    /// The name under which it is found in ``CommandLineOptions``: the letter if there is one.
    public var key: String { letter.map(String.init) ?? name ?? "" }
}

public struct UsageError: Error, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// Options and operands of a command line, in order.
public struct CommandLineOptions: Sendable {
    public private(set) var options: [(key: String, value: String)] = []
    public private(set) var operands: [String] = []

    public func has(_ key: String) -> Bool { options.contains { $0.key == key } }
    /// The last value given for it.
    public func value(_ key: String) -> String? { options.last { $0.key == key }?.value }
    public func values(_ key: String) -> [String] { options.filter { $0.key == key }.map(\.value) }

    /// getopt(3) keeps global state.
    private static let oneAtATime = Mutex(())

    public static func parse(_ arguments: [String], _ specs: [OptionSpec]) throws(UsageError) -> CommandLineOptions {
        try oneAtATime.withLock { (_) throws(UsageError) in try parseAlone(arguments, specs) }
    }

    private static func parseAlone(
        _ arguments: [String], _ specs: [OptionSpec]
    ) throws(UsageError) -> CommandLineOptions {
        // "+" stops at the first operand, ":" reports a missing value apart from an unknown option.
        var letters = "+:"
        for spec in specs {
            guard let letter = spec.letter else { continue }
            letters.append(letter)
            if spec.value != nil { letters.append(":") }
        }
        let named = specs.enumerated().filter { $0.element.name != nil }
        let names: [UnsafePointer<CChar>?] = named.map { UnsafePointer(strdup($0.element.name ?? "")) }
        let takesValue: [Int32] = named.map { $0.element.value == nil ? 0 : 1 }
        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        let allocated = argv
        defer {
            for pointer in allocated { free(pointer) }
            for pointer in names { free(UnsafeMutablePointer(mutating: pointer)) }
        }
        var result = CommandLineOptions()
        var isFirst: Int32 = 1
        while true {
            let found = cposix_getopt(
                Int32(arguments.count), &argv, letters, names, takesValue, Int32(named.count), isFirst)
            isFirst = 0
            let index = Int(found.next)
            if found.code == -1 {
                if index < arguments.count { result.operands = Array(arguments[index...]) }
                return result
            }
            let given = index > 0 && index <= arguments.count ? arguments[index - 1] : ""
            // getopt takes octets for letters, and `char` is signed.
            let octet = UInt8(truncatingIfNeeded: found.unknown)
            let letter = octet < 0x80 ? String(Unicode.Scalar(octet)) : "\\x" + String(octet, radix: 16)
            let isLong = found.unknown == 0 || found.unknown >= 1000 || given.hasPrefix("--")
            if found.code == 0x3f {
                if found.unknown >= 1000 { throw UsageError("option '\(given)' takes no value") }
                throw UsageError("unknown option '\(isLong ? given : "-\(letter)")'")
            }
            if found.code == 0x3a { throw UsageError("option '\(isLong ? given : "-\(letter)")' needs a value") }
            let spec =
                found.code >= 1000
                ? named[Int(found.code) - 1000].element
                : specs.first { $0.letter?.unicodeScalars.first?.value == UInt32(found.code) }
            guard let spec else { continue }
            result.options.append((spec.key, found.value.map { String(cString: $0) } ?? ""))
        }
    }

    /// The text of `--help`.
    public static func usage(_ program: String, _ summary: String, _ specs: [OptionSpec]) -> String {
        var text = "usage: \(program) \(summary)\n"
        for spec in specs {
            var left = "  "
            if let letter = spec.letter { left += "-\(letter)" }
            if let name = spec.name { left += (spec.letter == nil ? "" : ", ") + "--\(name)" }
            if let value = spec.value { left += " \(value)" }
            let pad = String(repeating: " ", count: max(2, 26 - left.count))
            text += left + pad + spec.help + "\n"
        }
        return text
    }
}
