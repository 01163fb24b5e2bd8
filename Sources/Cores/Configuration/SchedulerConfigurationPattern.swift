/// A clause's pattern: a shell glob on the channel, `/`, a glob on the host; without `/` every host matches.
/// `*`, `?`, `[a-z]`, `[!x]`, and alternatives `{a,b,c}`; ASCII case does not count.
public struct SchedulerPattern: Hashable, Sendable {
    public let text: String
    private let channels: [[UInt8]]
    private let hosts: [[UInt8]]

    /// Alternatives one pattern may stand for.
    public static let maximumAlternatives = 256

    /// `nil`: a brace is not closed, or there are more than ``maximumAlternatives``.
    public init?(_ text: some StringProtocol) {
        self.text = String(text)
        let octets = text.utf8.map(Self.lowered)
        let slash = octets.firstIndex(of: UInt8(ascii: "/"))
        guard let channels = Self.alternatives(octets[..<(slash ?? octets.endIndex)]),
            let hosts = slash.map({ Self.alternatives(octets[($0 + 1)...]) }) ?? [[UInt8(ascii: "*")]]
        else { return nil }
        self.channels = channels
        self.hosts = hosts
    }

    /// What of a pattern can differ.
    public enum Part: String, Hashable, Sendable {
        case channel, host
    }

    public func matches(channel: String, host: String) -> Bool { mismatch(channel: channel, host: host) == nil }

    /// The first part that does not match; `nil`: it matches.
    public func mismatch(channel: String, host: String) -> Part? {
        let channel = channel.utf8.map(Self.lowered)
        guard channels.contains(where: { Self.matches($0[...], channel[...]) }) else { return .channel }
        let host = host.utf8.map(Self.lowered)
        return hosts.contains { Self.matches($0[...], host[...]) } ? nil : .host
    }

    private static func lowered(_ octet: UInt8) -> UInt8 { (65...90).contains(octet) ? octet + 32 : octet }

    private static func alternatives(_ pattern: ArraySlice<UInt8>) -> [[UInt8]]? {
        guard let open = pattern.firstIndex(of: UInt8(ascii: "{")) else { return [Array(pattern)] }
        guard let close = pattern[open...].firstIndex(of: UInt8(ascii: "}")),
            let tails = alternatives(pattern[(close + 1)...])
        else { return nil }
        let choices = pattern[(open + 1)..<close].split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        guard choices.count * tails.count <= maximumAlternatives else { return nil }
        return choices.flatMap { choice in tails.map { Array(pattern[..<open]) + choice + $0 } }
    }

    /// Tries each `*` once for each place, and only the last one again: time is bounded by pattern times text.
    private static func matches(_ pattern: ArraySlice<UInt8>, _ text: ArraySlice<UInt8>) -> Bool {
        var p = pattern.startIndex
        var t = text.startIndex
        var star: (pattern: Int, text: Int)?
        while t < text.endIndex {
            if p < pattern.endIndex {
                if pattern[p] == UInt8(ascii: "*") {
                    star = (p + 1, t)
                    p += 1
                    continue
                }
                if let next = matchOne(pattern, p, text[t]) {
                    p = next
                    t += 1
                    continue
                }
            }
            guard let last = star else { return false }
            p = last.pattern
            t = last.text + 1
            star = (p, t)
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    /// Index behind the element at `index` if it matches `octet`. A `[` that is not closed stands for itself.
    private static func matchOne(_ pattern: ArraySlice<UInt8>, _ index: Int, _ octet: UInt8) -> Int? {
        switch pattern[index] {
        case UInt8(ascii: "?"): return index + 1
        case UInt8(ascii: "["):
            guard let close = pattern[(index + 1)...].dropFirst().firstIndex(of: UInt8(ascii: "]")) else { break }
            var set = pattern[(index + 1)..<close]
            let isNegated = set.first == UInt8(ascii: "!") || set.first == UInt8(ascii: "^")
            if isNegated { set = set.dropFirst() }
            return contains(set, octet) != isNegated ? close + 1 : nil
        default: break
        }
        return pattern[index] == octet ? index + 1 : nil
    }

    private static func contains(_ set: ArraySlice<UInt8>, _ octet: UInt8) -> Bool {
        var index = set.startIndex
        while index < set.endIndex {
            if index + 2 < set.endIndex, set[index + 1] == UInt8(ascii: "-") {
                if set[index] <= octet, octet <= set[index + 2] { return true }
                index += 3
            } else {
                if set[index] == octet { return true }
                index += 1
            }
        }
        return false
    }
}
