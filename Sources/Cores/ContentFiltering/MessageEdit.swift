import MailModel

/// A change that a filter asks for before its verdict; our addition to ZMailer's interface (docs/contentfilters.md).
public enum MessageEdit: Hashable, Sendable {
    /// `+header Name: value`: on top of the header. Lines of the value as they were given, with the blank in front; continuation lines
    /// begin with a blank or TAB.
    case addFirst(name: String, value: [String])
    /// `+header-last Name: value`
    case addLast(name: String, value: [String])
    /// `-header Name`, `-header Name/2`: all fields of the name, or the one with that number, from 1, among those of the name.
    case remove(name: String, number: Int?)
    /// `rewrite-to <address>`
    case recipient(String)
    /// `tag word`
    case tag(String)

    /// Why a line that begins like an edit is none.
    public struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
        public let description: String
        init(_ description: String) { self.description = description }
    }

    /// Octets of a header line without its CRLF (RFC 5322 §2.1.1).
    public static let maximumHeaderLine = 998
    public static let maximumTagLength = 64

    /// `nil`: the line is something else.
    public init?(line: ArraySlice<UInt8>) throws(Problem) {
        var line = line
        if line.last == 0x0d { line.removeLast() }
        guard let blank = Octets.index(of: 0x20, in: line) else { return nil }
        let rest = line[(blank + 1)...].drop { $0 == 0x20 }
        switch Octets.text(line[..<blank]) {
        case "+header":
            let (name, value) = try Self.field(rest)
            self = .addFirst(name: name, value: value)
        case "+header-last":
            let (name, value) = try Self.field(rest)
            self = .addLast(name: name, value: value)
        case "-header":
            self = try Self.removal(rest)
        case "rewrite-to":
            self = .recipient(try Self.address(rest))
        case "tag":
            guard (1...Self.maximumTagLength).contains(rest.count), rest.allSatisfy(Self.isOfTag) else {
                throw Problem("a tag has 1 to \(Self.maximumTagLength) of A-Z a-z 0-9 . _ = + -")
            }
            self = .tag(Octets.text(rest))
        default:
            return nil
        }
    }

    private static func isOfTag(_ octet: UInt8) -> Bool {
        switch octet {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2e, 0x5f, 0x3d, 0x2b, 0x2d: true
        default: false
        }
    }

    /// `Name: value`; CR in the value begins a continuation line.
    private static func field(_ text: ArraySlice<UInt8>) throws(Problem) -> (name: String, value: [String]) {
        guard let colon = Octets.index(of: UInt8(ascii: ":"), in: text) else {
            throw Problem("'Name: value' is needed")
        }
        let name = try name(text[..<colon])
        var lines: [String] = []
        for (index, piece) in Octets.split(text[(colon + 1)...], at: 0x0d).enumerated() {
            var octets = piece.filter { $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }
            while let last = octets.last, last == 0x20 || last == 0x09 { octets.removeLast() }
            // A line of blanks only would end the header for many a reader.
            if octets.isEmpty, index > 0 { continue }
            if index > 0, octets.first != 0x20, octets.first != 0x09 { octets.insert(0x09, at: 0) }
            guard octets.count + (index == 0 ? name.utf8.count + 1 : 0) <= maximumHeaderLine else {
                throw Problem("a line of \(name) is longer than \(maximumHeaderLine) octets; CR folds it")
            }
            lines.append(String(decoding: octets, as: UTF8.self))
        }
        return (name, lines)
    }

    /// RFC 5322 §3.6.8, without what a dot in front would do to the content on the wire.
    private static func name(_ octets: ArraySlice<UInt8>) throws(Problem) -> String {
        guard (1...76).contains(octets.count), octets.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x3a }),
            octets.first != UInt8(ascii: ".")
        else { throw Problem("'\(Octets.cleaned(Octets.text(octets.prefix(76))))' is no name of a header field") }
        return Octets.text(octets)
    }

    private static func removal(_ text: ArraySlice<UInt8>) throws(Problem) -> MessageEdit {
        guard let slash = text.lastIndex(of: UInt8(ascii: "/")) else {
            return .remove(name: try name(text), number: nil)
        }
        guard let number = Octets.decimal(text[(slash + 1)...]), number > 0 else {
            throw Problem("behind '/' the field's number is needed, from 1")
        }
        return .remove(name: try name(text[..<slash]), number: number)
    }

    private static func address(_ text: ArraySlice<UInt8>) throws(Problem) -> String {
        // Who needs no domain (RFC 5321 §4.1.1.3).
        if asciiLowercased(Octets.text(text)) == "<postmaster>" { return "postmaster" }
        guard text.first == UInt8(ascii: "<"), text.last == UInt8(ascii: ">"),
            let mailbox = Mailbox(Octets.text(text.dropFirst().dropLast()))
        else { throw Problem("'\(Octets.cleaned(Octets.text(text.prefix(100))))' is no <address>") }
        return mailbox.description
    }
}
