import Configuration
import MailModel
import Resolver

/// What mail of channel `hold` waits for: the host of its recipients, `CLASS:parameter` (transport-agents.md §5).
enum HoldCondition: Hashable, Sendable {
    /// `ns:name/type`: the DNS tells what there is, be it nothing.
    case answered(name: String, types: [RecordType])
    /// `timeout:epoch`: seconds since 1970.
    case timeOut(Int64)
    /// `age:interval`: so long after the message came.
    case age(Duration)
    /// `io`: at each tenth attempt or so; for tests.
    case sometimes
    /// `script:name/argument`: the program ends with 0.
    case script(name: String, argument: String?)
    /// `home:user`: the home directory is there.
    case home(String)
    /// `ns:` with nothing to look up.
    case always

    static let valid =
        "valid are ns:name/type, timeout:seconds-since-1970, age:interval, script:name/argument, home:user and io"

    /// `nil`: no condition.
    init?(_ text: String) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let parameter = parts.count == 2 ? parts[1] : ""
        switch asciiLowercased(parts[0]) {
        case "ns":
            let words = parameter.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard words.count == 2 else {
                self = .always
                return
            }
            guard let types = Self.types(asciiLowercased(words[1])), Self.isName(words[0]) else { return nil }
            self = .answered(name: words[0], types: types)
        case "timeout":
            guard let time = Int64(parameter), time >= 0 else { return nil }
            self = .timeOut(time)
        case "age":
            guard let time = SchedulerTime.parse(parameter) else { return nil }
            self = .age(time)
        case "io" where parameter.isEmpty: self = .sometimes
        case "script":
            let words = parameter.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard let name = words.first, Self.isProgram(name) else { return nil }
            // It would be taken for an option.
            if words.count == 2, words[1].hasPrefix("-") { return nil }
            self = .script(name: name, argument: words.count == 2 && !words[1].isEmpty ? words[1] : nil)
        case "home":
            guard Self.isUser(parameter) else { return nil }
            self = .home(parameter)
        default: return nil
        }
    }

    /// What is asked for a type. Any type shows whether the servers of a name answer, so those that the DNS has given up stand for an
    /// address.
    private static func types(_ word: String) -> [RecordType]? {
        switch word {
        case "cname": [.cname]
        case "mx", "mp": [.mx]
        case "a", "wks", "uname": [.a]
        case "aaaa": [.aaaa]
        case "any": [.mx, .a, .aaaa]
        case "txt": [.txt]
        case "ptr": [.ptr]
        default: nil
        }
    }

    private static func isName(_ text: String) -> Bool {
        (1...255).contains(text.utf8.count)
            && text.utf8.allSatisfy { isWordOctet($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_") }
    }

    /// One file of MAILBIN/bin.
    private static func isProgram(_ text: String) -> Bool {
        guard let first = text.utf8.first, (1...64).contains(text.utf8.count) else { return false }
        return isWordOctet(first) && first != UInt8(ascii: "-")
            && text.utf8.allSatisfy { isWordOctet($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_") }
    }

    private static func isUser(_ text: String) -> Bool {
        (1...255).contains(text.utf8.count)
            && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f && $0 != UInt8(ascii: "/") }
    }

    private static func isWordOctet(_ octet: UInt8) -> Bool {
        (0x30...0x39).contains(octet) || (0x61...0x7a).contains(octet | 0x20) || octet == UInt8(ascii: "-")
    }
}
