import MailModel

/// Why a message is in the freezer: the text of `freezer/X.reason` (docs/spool.md §6).
public struct FreezeNote: Hashable, Sendable {
    /// Above 0: what the policy or the filter has answered.
    public let code: Int
    /// When it was frozen, seconds since 1970.
    public let time: Int64
    /// Who wanted it: ``policy``, or the path of a content filter.
    public let source: String
    /// For people; one line.
    public let reason: String

    /// The source of what the policy freezes.
    public static let policy = "policy"
    /// Octets of a reason; a longer one is cut.
    public static let maximumReason = 4096
    /// Octets of a source; a longer one is cut.
    static let maximumSource = 1024
    /// Octets of a whole note; a larger file is none.
    public static let maximumSize = 16384

    public init(code: Int, time: Int64, source: String = FreezeNote.policy, reason: String) {
        self.code = max(1, code)
        self.time = EnvelopeTime.clamped(time)
        self.source = Self.line(source, Self.maximumSource)
        self.reason = Self.line(reason, Self.maximumReason)
    }

    /// Lines `key value`.
    public func encoded() -> [UInt8] { Array("code \(code)\ntime \(time)\nsource \(source)\nreason \(reason)\n".utf8) }

    /// `nil`: no note, or a part of one. Unknown keys are passed over; of a key that stands twice the first one counts.
    public init?(parsing octets: [UInt8]) {
        guard octets.count <= Self.maximumSize else { return nil }
        var values: [String: ArraySlice<UInt8>] = [:]
        var rest = octets[...]
        // Without its line end a line is not whole.
        while let end = Octets.index(of: 0x0a, in: rest) {
            let line = rest[rest.startIndex..<end]
            rest = rest[(end + 1)...]
            let blank = Octets.index(of: 0x20, in: line) ?? line.endIndex
            let key = Octets.text(line[..<blank])
            if values[key] == nil { values[key] = line[blank...].dropFirst() }
        }
        guard let code = values["code"].flatMap(Octets.decimal), code > 0,
            let time = values["time"].flatMap(EnvelopeTime.parse), let source = values["source"],
            let reason = values["reason"]
        else { return nil }
        self.init(code: code, time: time, source: Octets.text(source), reason: Octets.text(reason))
    }

    /// A value: one line of bounded length.
    private static func line(_ text: String, _ limit: Int) -> String {
        let text = Octets.cleaned(text)
        guard text.utf8.count > limit else { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: limit)
        while end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
        return String(text[..<end])
    }
}
