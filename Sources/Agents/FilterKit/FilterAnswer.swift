import MailModel

/// All that a filter says about one message.
public struct FilterAnswer: Hashable, Sendable {
    public var verdict: FilterVerdict
    public var edits: [FilterEdit]
    /// Text for smtpserver's log, a line each.
    public var remarks: [String]

    public init(_ verdict: FilterVerdict, edits: [FilterEdit] = [], remarks: [String] = []) {
        self.verdict = verdict
        self.edits = edits
        self.remarks = remarks
    }

    public static let accept = FilterAnswer(.accept())

    /// Octets of a line, the job's path and LF included.
    public static let maximumLine = 64 << 10
    /// Edits of one message, beside recipients.
    public static let maximumEdits = 200

    /// The lines of the interface, each ended by LF: remarks, which name the message by its `id`, and with `prefix` in front edits
    /// and the result.
    func lines(prefix: String, id: String) throws(FilterAnswerError) -> [UInt8] {
        let count = edits.count { edit in
            if case .rewriteTo = edit { false } else { true }
        }
        guard count <= Self.maximumEdits else { throw .tooManyEdits(count) }
        var out: [UInt8] = []
        for remark in remarks { out += Array("# \(id): \(Octets.cleaned(String(remark.prefix(1000))))\n".utf8) }
        func append(_ line: String) throws(FilterAnswerError) {
            let length = prefix.utf8.count + line.utf8.count + 1
            guard length <= Self.maximumLine else { throw .lineLength(length) }
            out.append(contentsOf: prefix.utf8)
            out.append(contentsOf: line.utf8)
            out.append(0x0a)
        }
        for edit in edits { try append(try edit.line()) }
        try append(try verdict.line())
        return out
    }
}
