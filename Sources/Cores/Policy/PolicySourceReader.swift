import MailModel

/// Reads policy source, one line at a time (policy.md §5):
/// ```
/// key  [attribute value]…  [= _tag]…   # comment
/// ```
/// `#@line 7 "file"` says that the next line is line 7 of another file, `#@file:7` at the end of a line that this line is.
public struct PolicySourceReader {
    public enum Line: Hashable, Sendable {
        case entry(PolicyKey, PolicyRecord)
        /// Blank, comment, or a key without attributes.
        case nothing
        case error(PolicySourceError)
    }

    /// What the origins say for the next line.
    private(set) var file: String
    private(set) var nextLine = 1
    private var fileOctets: [UInt8]
    private var tags = PolicyTagCensus()
    private var keys = PolicyMetadata()
    private var words = PolicySourceWords()

    /// What policy-builder.sh puts behind the lines of localnames, smtp-policy.mx and smtp-policy.relay.
    private static let rightGivingTags: Set<String> = ["_localnames", "_relaytarget", "_full_rights"]

    public init(file: String) {
        self.file = file
        fileOctets = Array(file.utf8)
    }

    /// The next lines are those of another file, from its first.
    public mutating func begin(file: String, line: Int = 1) {
        self.file = file
        fileOctets = Array(file.utf8)
        nextLine = line
    }

    /// After the last line: a mistake for each tag that is used but nowhere defined.
    public func undefinedTags() -> [PolicySourceError] { tags.undefined }

    /// After the last line: what the keys and tags of all entries amount to; number of entries and time are the caller's to
    /// add.
    public func metadata() -> PolicyMetadata {
        var metadata = keys
        metadata.namesGrant = tags.namesGrant
        metadata.judgesSenders = tags.judgesSenders
        return metadata
    }

    /// The line without its LF.
    public mutating func read(line octets: ArraySlice<UInt8>) -> Line {
        var origin = PolicySourceWords.Origin(file: fileOctets[...], line: nextLine)
        nextLine += 1
        guard let first = octets.first, first != 0x20, first != 0x09, first != 0x0d else { return .nothing }
        if first == UInt8(ascii: "#") {
            if let (file, line) = PolicySourceWords.lineMark(octets) { begin(file: file, line: line) }
            return .nothing
        }
        let problem = words.split(octets, &origin)
        do throws(PolicySourceProblem) {
            if let problem { throw PolicySourceProblem(problem) }
            guard let word = words.list.first else { return .nothing }
            let key = try PolicyKey(source: octets[word])
            guard words.list.count > 1 else {
                if case .tag(let tag) = key { tags.define(tag) }
                return .nothing
            }
            let record = try record(octets, key, origin)
            keys.note(key)
            return .entry(key, record)
        } catch {
            let key = words.list.first.map { Octets.cleaned(Octets.text(octets[$0])) } ?? ""
            return .error(
                PolicySourceError(
                    file: Octets.text(origin.file), line: origin.line, key: String(key.prefix(PolicyKey.maximumLength)),
                    reason: error.reason))
        }
    }

    private mutating func record(
        _ octets: ArraySlice<UInt8>, _ key: PolicyKey, _ origin: PolicySourceWords.Origin
    ) throws(PolicySourceProblem) -> PolicyRecord {
        var record = PolicyRecord()
        record.append(.origin, origin.octets)
        if case .tag(let tag) = key { tags.define(tag) }
        var index = 1
        while index < words.list.count {
            let name = octets[words.list[index]]
            guard let attribute = PolicyAttribute(octets: name) else {
                throw PolicySourceProblem(
                    "unknown attribute '\(Octets.cleaned(Octets.text(name.prefix(80))))'; there are "
                        + PolicyAttribute.names.joined(separator: " "))
            }
            guard index + 1 < words.list.count else {
                throw PolicySourceProblem("\(attribute.name) needs a value: \(attribute.expected)")
            }
            let value = words.value(index + 1, octets)
            guard value.count <= PolicyKey.maximumLength else {
                throw PolicySourceProblem(
                    "the value of \(attribute.name) has \(value.count) octets; \(PolicyKey.maximumLength) are possible")
            }
            if attribute == .alias {
                if key.isDefault,
                    Self.rightGivingTags.contains(PolicyTagCensus.canonical(asciiLowercased(Octets.text(value))))
                {
                    throw PolicySourceProblem(
                        "would open the relay: everything that is not listed would have the rights of "
                            + "\(Octets.cleaned(Octets.text(value))); list domains and networks")
                }
                record.append(.alias, try tags.use(value, by: key, origin))
            } else {
                guard attribute.accepts(value) else {
                    throw PolicySourceProblem(
                        "\(attribute.name) cannot be '\(Octets.cleaned(Octets.text(value.prefix(80))))'; it takes "
                            + attribute.expected)
                }
                tags.note(attribute, value, key)
                record.append(attribute, value)
            }
            index += 2
        }
        return record
    }
}

/// What is wrong with a line.
struct PolicySourceProblem: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}
