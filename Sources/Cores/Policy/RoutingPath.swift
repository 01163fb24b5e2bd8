/// A local part read as a path through other hosts: `there.org!user`, `user%there.org` (policy.md §8). Nothing here routes by such
/// a path, but the host that we pass mail on to may: it must not lead where we would not relay to. Quotes make no difference,
/// because that host may not heed them either.
struct RoutingPath {
    private var text: ArraySlice<UInt8>
    private let readsBangs: Bool

    /// The decoded local part.
    init(_ localPart: String, readsBangs: Bool) {
        text = Array(localPart.utf8)[...]
        self.readsBangs = readsBangs
    }

    var isEmpty: Bool { !text.contains(where: isSeparator) }

    private func isSeparator(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "%") || byte == UInt8(ascii: "@") || (readsBangs && byte == UInt8(ascii: "!"))
    }

    /// The next host, as it stands there, possibly empty; `nil`: there is none. In front of the first `!`, else behind the last `%`,
    /// or `@`.
    mutating func next() -> String? {
        if readsBangs, let bang = text.firstIndex(of: UInt8(ascii: "!")) {
            defer { text = text[(bang + 1)...] }
            return String(decoding: text[..<bang], as: UTF8.self)
        }
        guard let separator = text.lastIndex(where: isSeparator) else { return nil }
        defer { text = text[..<separator] }
        return String(decoding: text[(separator + 1)...], as: UTF8.self)
    }
}
