import MailModel

/// What a clause of scheduler.conf asks of the agent beside the delivery: `key=value` words, a blank between two. Unknown words are
/// passed over, so that a scheduler may be newer than its agents.
public struct AgentJobLimits: Hashable, Sendable {
    /// `maxmsgs`: messages that one connection carries at most, 1 or more; `nil`: the agent's own limit, if it has one.
    public var messagesPerConnection: Int?

    /// - Parameter messagesPerConnection: below 1 counts as none.
    public init(messagesPerConnection: Int? = nil) {
        self.messagesPerConnection = messagesPerConnection.flatMap { $0 >= 1 ? $0 : nil }
    }

    /// From the third field of a line.
    init(octets: ArraySlice<UInt8>) {
        for word in Octets.words(octets) where Octets.hasPrefix(word, "maxmsgs=") {
            guard let number = Octets.decimal(word.dropFirst(8)), number >= 1 else { continue }
            messagesPerConnection = number
        }
    }

    /// The third field; empty where nothing is asked.
    var words: String { messagesPerConnection.map { "maxmsgs=\($0)" } ?? "" }
}
