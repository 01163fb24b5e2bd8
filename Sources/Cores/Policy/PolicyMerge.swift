import MailModel

/// What policy-builder.sh does with the files of `$MAILVAR/db` (policy.md §1): each line becomes one line of source.
public enum PolicyMerge {
    /// How the lines of a file are read.
    public enum Kind: Hashable, Sendable, CaseIterable {
        /// Taken as they are.
        case source
        /// First word, `= _localnames`.
        case localnames
        /// The line, `= _full_rights`.
        case relay
        /// The line, `= _relaytarget`.
        case mx
        /// Networks `rejectnet +`, all others `= _bulk_mail`; lower case, without a leading `@`.
        case spam
    }
    public struct File: Hashable, Sendable {
        public let name: String
        public let kind: Kind
    }

    /// In the order in which they are merged: what comes first wins.
    public static let files: [File] = files(base: "smtp-policy")

    /// The same for another base name (`policy-builder.sh -f`).
    public static func files(base: String) -> [File] {
        [
            File(name: "\(base).src", kind: .source), File(name: "localnames", kind: .localnames),
            File(name: "\(base).relay.manual", kind: .relay), File(name: "\(base).relay", kind: .relay),
            File(name: "\(base).mx.manual", kind: .mx), File(name: "\(base).mx", kind: .mx),
            File(name: "\(base).spam", kind: .spam), File(name: "\(base).spam.manual", kind: .spam),
        ]
    }

    /// Stands for a missing `smtp-policy.src`: mail for the domains of `localnames` and `smtp-policy.mx` from everybody, for all
    /// others from `smtp-policy.relay` only (the first default pair of policy.md §6).
    public static let boilerplate = """
        _default_dot relaycustomer - relaytarget -
        _default_ipaddr relaycustomer - relaytarget -
        . = _default_dot
        [0.0.0.0]/0 = _default_ipaddr
        _rbl0 # nothing
        _rbl1 # nothing
        _full_rights rejectnet - relaycustnet + relaytarget + = _rbl1
        _localnames rejectnet - relaycustnet - localdomain + relaytarget + = _rbl1
        _relaytarget relaytarget + = _rbl1
        _bulk_mail message "Your address is not liked source for email" rejectsource + \
        message "Your IP address is not liked source for email" rejectnet + \
        message "This is not accepted relay target" relaytarget -

        """
    /// What origins call it.
    public static let boilerplateName = "built-in"

    /// A line of a file as a line of source; empty if there is nothing on it.
    public static func line(_ kind: Kind, _ octets: ArraySlice<UInt8>) -> [UInt8] {
        if kind == .source { return Array(octets) }
        var line = withoutComment(octets)
        while let first = line.first, isBlank(first) { line.removeFirst() }
        while let last = line.last, isBlank(last) { line.removeLast() }
        if kind == .spam, line.first == UInt8(ascii: "@") { line.removeFirst() }
        guard !line.isEmpty else { return [] }
        switch kind {
        case .source: return Array(octets)
        case .localnames: return line.prefix { !isBlank($0) } + Array(" = _localnames".utf8)
        case .relay: return withSigns(line) + Array(" = _full_rights".utf8)
        case .mx: return line + Array(" = _relaytarget".utf8)
        case .spam:
            let lower = line.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }
            return lower + Array((line.first == UInt8(ascii: "[") ? " rejectnet +" : " = _bulk_mail").utf8)
        }
    }

    /// A lone word `submit`, as earlier versions had it, is `submit +`.
    private static func withSigns(_ line: ArraySlice<UInt8>) -> [UInt8] {
        let words = Octets.words(line)
        guard words.count == 2, Octets.equal(words[1], "submit") else { return Array(line) }
        return line + Array(" +".utf8)
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }

    /// Up to a `#` that begins a word and stands in no quotes.
    private static func withoutComment(_ octets: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var isQuoted = false
        var previous: UInt8 = 0x20
        for index in octets.indices {
            let byte = octets[index]
            if byte == UInt8(ascii: "#"), !isQuoted, isBlank(previous) { return octets[..<index] }
            if byte == UInt8(ascii: "\""), previous != UInt8(ascii: "\\") { isQuoted.toggle() }
            previous = byte
        }
        return octets
    }
}

extension PolicyMemoryDatabase {
    /// From the files of ``PolicyMerge/files`` by name; a missing `smtp-policy.src` is the built-in boilerplate. All mistakes
    /// together.
    public init(merging files: [String: [UInt8]], built: Int64 = 0) throws(PolicySourceErrors) {
        var compiler = PolicyCompiler(built: built)
        for file in PolicyMerge.files {
            if let octets = files[file.name] {
                compiler.take(file: file.name, octets[...]) { PolicyMerge.line(file.kind, $0) }
            } else if file.kind == .source {
                compiler.take(file: PolicyMerge.boilerplateName, Array(PolicyMerge.boilerplate.utf8)[...]) { Array($0) }
            }
        }
        let (values, metadata) = try compiler.finish()
        self.init(values: values, metadata: metadata)
    }
}
