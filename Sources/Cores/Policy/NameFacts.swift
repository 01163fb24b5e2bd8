import MailModel

/// A question to the DNS that a decision needs answered.
public struct NameQuestion: Hashable, Sendable {
    public enum RecordType: String, Hashable, Sendable {
        case a = "A"
        case aaaa = "AAAA"
        case mx = "MX"
        case txt = "TXT"
        case ptr = "PTR"
    }
    /// ASCII, lower case, without the final dot.
    public let name: String
    public let type: RecordType
    /// The zone of the block or allow list that is asked, empty otherwise: lists have their own, shorter deadline, and one
    /// that does not answer is not asked for a while.
    public let list: String

    public init(_ name: String, _ type: RecordType, list: String = "") {
        self.name = name
        self.type = type
        self.list = list
    }
}

/// What is known about a ``NameQuestion``.
public struct NameFact: Hashable, Sendable {
    public enum Answer: Hashable, Sendable {
        /// At least one.
        case addresses([IPAddress])
        /// By preference; the root, a null MX, is `.`.
        case exchangers([Exchanger])
        /// Each record's strings joined without a separator (RFC 7208 §3.3).
        case texts([[UInt8]])
        /// Without the final dot.
        case names([String])
        /// The name exists, but has no record of that type.
        case noData
        case noName
        /// SERVFAIL, time out, bogus, …: in words for the log.
        case failure(String)
    }
    public struct Exchanger: Hashable, Sendable {
        public let preference: Int
        public let name: String
        public init(preference: Int, name: String) {
            self.preference = preference
            self.name = name
        }
    }
    public let answer: Answer
    /// Seconds since it was asked.
    public let age: Int

    public init(_ answer: Answer, age: Int = 0) {
        self.answer = answer
        self.age = age
    }
}

/// The answers that are there already. Decisions are functions of question, tables and facts: one that lacks a fact says which
/// (``PolicySuspension``), and is made anew when the facts are there.
public protocol NameFacts {
    func fact(_ question: NameQuestion) -> NameFact?
}

/// Why there is no decision yet, or cannot be one now.
public enum PolicySuspension: Error, Hashable, Sendable {
    /// Ask all of these, in parallel, then decide again.
    case needs([NameQuestion])
    /// 451 4.3.0, never an accept.
    case trouble(PolicyTrouble)
}
