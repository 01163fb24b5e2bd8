import MailModel

/// A change of the message. Edits of one that is refused have no effect.
public enum FilterEdit: Hashable, Sendable {
    public enum Place: Hashable, Sendable {
        /// Above all fields; several stand in the order of the edits.
        case top
        /// Below all fields.
        case end
    }

    /// A new field. `body` is what follows its colon, as it shall stand there, leading blank included; LF or CRLF folds it. See
    /// ``field(_:_:at:)``.
    case addField(name: String, body: String, place: Place)
    /// All fields of that name go, compared without regard to case.
    case removeFields(named: String)
    /// The field goes that is the `number`th of its name, counted from 1 from the top of the header as the filter was given it.
    case removeField(named: String, number: Int)
    /// The message goes to this recipient (`local@domain`) and not to those it has; several: to all of these.
    case rewriteTo(String)
    /// A word for log and envelope: `[A-Za-z0-9._=+-]{1,64}`.
    case tag(String)

    /// A new field `name: value`.
    public static func field(_ name: String, _ value: String, at place: Place = .top) -> FilterEdit {
        .addField(name: name, body: " " + value, place: place)
    }

    /// The edit line of the interface, without its LF.
    func line() throws(FilterAnswerError) -> String {
        switch self {
        case .addField(let name, let body, let place):
            let lines = Self.folded(body)
            for (number, line) in Octets.split(Array(lines.utf8)[...], at: 0x0d).enumerated() {
                let length = line.count + (number == 0 ? name.utf8.count + 1 : 0)
                guard length <= Self.maximumHeaderLine else { throw .headerLine(length) }
            }
            return "\(place == .top ? "+header" : "+header-last") \(try Self.checked(name)):\(lines)"
        case .removeFields(let name):
            return "-header \(try Self.checked(name))"
        case .removeField(let name, let number):
            guard number > 0 else { throw .fieldNumber(number) }
            return "-header \(try Self.checked(name))/\(number)"
        case .rewriteTo(let address):
            if asciiLowercased(address) == "postmaster" { return "rewrite-to <postmaster>" }
            guard let mailbox = Mailbox(address) else { throw .recipient(address) }
            return "rewrite-to <\(mailbox)>"
        case .tag(let word):
            guard (1...64).contains(word.utf8.count), word.utf8.allSatisfy(Self.isTagOctet) else { throw .tag(word) }
            return "tag \(word)"
        }
    }

    /// Octets of a header line without its line end (RFC 5322 §2.1.1).
    public static let maximumHeaderLine = 998

    private static func checked(_ name: String) throws(FilterAnswerError) -> String {
        guard (1...76).contains(name.utf8.count), !name.hasPrefix("."),
            name.utf8.allSatisfy({ (0x21...0x7e).contains($0) && $0 != UInt8(ascii: ":") })
        else { throw .fieldName(name) }
        return name
    }

    /// Line ends become CR, with a TAB behind them where there is no blank; a line without text would end the header.
    private static func folded(_ body: String) -> String {
        var out: [UInt8] = []
        for (number, raw) in Octets.split(Array(body.utf8)[...], at: 0x0a).enumerated() {
            var line = raw
            while line.last == 0x0d { line.removeLast() }
            if number > 0 {
                guard line.contains(where: { $0 != 0x20 && $0 != 0x09 }) else { continue }
                out.append(0x0d)
                if line.first != 0x20, line.first != 0x09 { out.append(0x09) }
            }
            for octet in line { out.append((octet < 0x20 && octet != 0x09) || octet == 0x7f ? 0x20 : octet) }
        }
        return Octets.text(out[...])
    }

    private static func isTagOctet(_ octet: UInt8) -> Bool {
        switch octet {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "="),
            UInt8(ascii: "+"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
