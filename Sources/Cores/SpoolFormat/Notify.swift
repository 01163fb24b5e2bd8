import MailModel

/// The `NOTIFY` of a recipient (RFC 3461 §4.1).
public struct Notify: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let success = Notify(rawValue: 1)
    public static let failure = Notify(rawValue: 2)
    public static let delay = Notify(rawValue: 4)
    /// `NOTIFY=NEVER`.
    public static let never: Notify = []
    /// What applies when the sender said nothing.
    public static let standard: Notify = [.failure, .delay]

    /// Parses `NEVER` or a list of `SUCCESS`, `FAILURE`, `DELAY`, any case; `nil` for anything else.
    public init?(_ text: some StringProtocol) { self.init(octets: Array(text.utf8)[...]) }

    /// The same from octets.
    public init?(octets: ArraySlice<UInt8>) {
        func equals(_ word: ArraySlice<UInt8>, _ text: StaticString) -> Bool {
            word.count == text.utf8CodeUnitCount && Octets.hasPrefix(word, text, anyCase: true)
        }
        if equals(octets, "NEVER") {
            self = .never
            return
        }
        var value: Notify = []
        for word in Octets.split(octets, at: UInt8(ascii: ","), limit: 64) {
            if equals(word, "SUCCESS") {
                value.insert(.success)
            } else if equals(word, "FAILURE") {
                value.insert(.failure)
            } else if equals(word, "DELAY") {
                value.insert(.delay)
            } else {
                return nil
            }
        }
        self = value
    }

    public var text: String {
        if isEmpty { return "NEVER" }
        if self == .standard { return "FAILURE,DELAY" }
        let names: [(Notify, String)] = [(.success, "SUCCESS"), (.failure, "FAILURE"), (.delay, "DELAY")]
        return names.filter { contains($0.0) }.map(\.1).joined(separator: ",")
    }
}

/// `RET` of MAIL (RFC 3461 §4.3).
public enum NotaryReturn: String, Hashable, Sendable {
    case full = "FULL"
    case headers = "HDRS"
}
