import MailModel

/// What the DNS said, with everything a mail decision needs: existence, failure, age and authenticity.
public enum Lookup<Record: Hashable & Sendable>: Hashable, Sendable {
    /// At least one record.
    case answer(Answer<Record>)
    /// The name exists, but has no record of that type.
    case noData
    case nxDomain
    /// No answer that can be relied on: SERVFAIL, REFUSED, time out, DNSSEC validation failed, unreadable record data.
    /// The text is for logs and delivery reports: one line, no control characters.
    case temporaryFailure(String)

    /// The records, empty for all cases but `answer`.
    public var records: [Record] {
        switch self {
        case .answer(let answer): answer.records
        case .noData, .nxDomain, .temporaryFailure: []
        }
    }

    public var isTemporaryFailure: Bool {
        switch self {
        case .temporaryFailure: true
        case .answer, .noData, .nxDomain: false
        }
    }

    /// Decodes each record; those that decode to `nil` are unreadable. If none is readable the lookup failed temporarily:
    /// a broken record is no proof that a domain takes no mail.
    func decoded<Other>(_ decode: (Record) -> Other?) -> Lookup<Other> {
        switch self {
        case .answer(let answer):
            let records = answer.records.compactMap(decode)
            guard !records.isEmpty else { return .temporaryFailure("unreadable record data") }
            return .answer(Answer(records: records, isSecure: answer.isSecure, timeToLive: answer.timeToLive))
        case .noData: return .noData
        case .nxDomain: return .nxDomain
        case .temporaryFailure(let reason): return .temporaryFailure(reason)
        }
    }
}

/// Records and what is known about them.
public struct Answer<Record: Hashable & Sendable>: Hashable, Sendable {
    /// At least one, in the order of the answer.
    public let records: [Record]
    /// Whether DNSSEC vouches for them (needs a trust anchor; RFC 4035 §4.3 "secure").
    public let isSecure: Bool
    public let timeToLive: Duration

    public init(records: [Record], isSecure: Bool = false, timeToLive: Duration = .zero) {
        self.records = records
        self.isSecure = isSecure
        self.timeToLive = timeToLive
    }
}

/// Answers raw DNS questions; the seam that tests replace.
public protocol NameService: Sendable {
    /// Record data in wire form, one lookup for each question in its order; names inside it are not compressed.
    /// Blocks until all are answered or have failed; bounded in time by the implementation.
    func lookUp(_ questions: [Question]) -> [Lookup<[UInt8]>]
}

extension NameService {
    /// The one lookup of one question.
    public func lookUp(_ question: Question) -> Lookup<[UInt8]> {
        lookUp([question]).first ?? .temporaryFailure("no answer")
    }

    public func mailExchangers(of name: String) -> Lookup<MXRecord> {
        lookUp(Question(name, .mx)).decoded { MXRecord(recordData: $0) }
    }

    public func addresses4(of name: String) -> Lookup<IPAddress> {
        lookUp(Question(name, .a)).decoded { RecordData.address4($0) }
    }

    public func addresses6(of name: String) -> Lookup<IPAddress> {
        lookUp(Question(name, .aaaa)).decoded { RecordData.address6($0) }
    }

    /// Each record is the concatenation of its character-strings (RFC 7208 §3.3 reads them so).
    public func texts(of name: String) -> Lookup<[UInt8]> {
        lookUp(Question(name, .txt)).decoded { RecordData.text($0) }
    }

    /// Names that an address points to, in presentation form without the final dot.
    public func names(of address: IPAddress) -> Lookup<String> {
        lookUp(Question(address.reverseName, .ptr)).decoded { RecordData.name($0) }
    }
}

/// Raw record data as what it means; unreadable records are left out, see ``decoded(_:)``.
extension Lookup where Record == [UInt8] {
    public var exchangers: Lookup<MXRecord> { decoded { MXRecord(recordData: $0) } }
    public var addresses4: Lookup<IPAddress> { decoded { RecordData.address4($0) } }
    public var addresses6: Lookup<IPAddress> { decoded { RecordData.address6($0) } }
    /// Each record is the concatenation of its character-strings.
    public var texts: Lookup<[UInt8]> { decoded { RecordData.text($0) } }
    /// Presentation form without the final dot.
    public var names: Lookup<String> { decoded { RecordData.name($0) } }
}
