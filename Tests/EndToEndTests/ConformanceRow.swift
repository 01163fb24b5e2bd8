import Testing

/// One row of a `.smtp` file: what is said to a server, and what it must answer (Conformance/README.md).
struct ConformanceRow: Hashable, Sendable, CustomTestStringConvertible {
    /// `file:line` of its name.
    let place: String
    let name: String
    /// `RFC 5321 §4.1.4`, one or more.
    let references: [ConformanceReference]
    /// What the row needs to be played against.
    let server: ConformanceServer
    /// Played three times: each group of client octets at once, line by line, octet by octet.
    let isSplit: Bool
    /// The client says something before it has read the greeting.
    let speaksFirst: Bool
    /// Why the server differs from what the row demands; nil: it does not.
    let deviation: String?
    let steps: [ConformanceStep]

    /// What it says about storage.
    var claims: [ConformanceStored] {
        steps.compactMap { step in
            if case .stored(let claim) = step.action { claim } else { nil }
        }
    }

    var testDescription: String { "\(name) (\(references.map(\.description).joined(separator: ", ")), \(place))" }
}

struct ConformanceStep: Hashable, Sendable {
    enum Action: Hashable, Sendable {
        /// Octets of the client; they wait for the next step that reads.
        case send(ConformanceTemplate)
        /// A reply of the server.
        case expect(ConformanceReplyPattern)
        /// A line that the reply just read has too.
        case expectLine(ConformanceGlob)
        /// A line that it has not.
        case forbidLine(ConformanceGlob)
        /// The server closes the connection, and says nothing more before unless it may.
        case close(maySayMore: Bool)
        /// The client closes its sending side.
        case endOfInput
        /// The client vanishes.
        case drop
        /// The client begins TLS.
        case startTLS
        /// The client authenticates by SCRAM-SHA-256, or -PLUS, up to the reply that decides.
        case scram(user: String, password: String, isBound: Bool)
        /// What became of the messages of this row, when the session is over.
        case stored(ConformanceStored)
    }

    let line: Int
    let action: Action

    /// Whether a `C:` line may stand in front of it.
    var reads: Bool {
        switch action {
        case .expect, .close, .drop: true
        case .send, .expectLine, .forbidLine, .endOfInput, .startTLS, .scram, .stored: false
        }
    }
}

/// A claim about the messages whose envelope or content has the row's `{id}`.
enum ConformanceStored: Hashable, Sendable {
    /// So many were stored, each counted once for every recipient's mailbox or next hop.
    case count(Int)
    /// One was relayed, and behind the trace field it has these octets.
    case content(ConformanceTemplate)
    /// The MAIL command with which it was relayed.
    case mail(ConformanceGlob)
    /// A RCPT command with which it was relayed.
    case recipient(ConformanceGlob)
    /// The trace fields in front, unfolded.
    case trace(ConformanceGlob)
    /// A header field, unfolded.
    case field(ConformanceGlob)
}

/// `RFC 5321 §4.1.4`, `RFC 5321 Appendix C`.
struct ConformanceReference: Hashable, Sendable, CustomStringConvertible {
    let document: Int
    let section: String
    var description: String {
        "RFC \(document) " + (section.first?.isNumber == true ? "§\(section)" : "Appendix \(section)")
    }
}
