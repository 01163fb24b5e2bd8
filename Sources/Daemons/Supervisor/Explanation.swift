import Configuration
import MailModel
import Policy
import PolicyAsking
import SMTPProtocol

/// A session that is walked through to see what becomes of a mail, and why: `zmailer explain`.
public struct Explanation {
    /// What is asked.
    public struct Request: Hashable, Sendable {
        public var client: IPAddress
        /// `nil`: the address literal of the client, which is not looked up.
        public var helo: String?
        /// Without brackets; empty: `<>`.
        public var sender: String
        public var recipients: [String]
        public var authenticatedUser: String

        public init(
            client: IPAddress, helo: String? = nil, sender: String, recipients: [String], authenticatedUser: String = ""
        ) {
            self.client = client
            self.helo = helo
            self.sender = sender
            self.recipients = recipients
            self.authenticatedUser = authenticatedUser
        }
    }

    public enum Verdict: String, Sendable {
        case accept
        /// Accepted, and its header may be completed.
        case submit
        /// Accepted into the freezer.
        case freeze
        /// 4xx.
        case temporary
        /// 5xx.
        case refuse
        /// The connection is closed without a word.
        case drop
    }

    /// A command and what came of it.
    public struct Phase {
        /// `connect`, `helo`, `mail`, `rcpt`.
        public let name: String
        /// The command line; empty for `connect`.
        public let command: String
        public let verdict: Verdict
        /// As the client sees it; empty where it sees nothing.
        public let reply: [String]
        public let reason: String
        /// `nil`: the policy was not asked.
        public let answer: PolicyAnswer?
    }

    public private(set) var phases: [Phase] = []
    /// The confirmed name of the client; empty if there is none.
    public private(set) var clientName = ""
    public private(set) var reverseFlags = ""

    /// - Parameters:
    ///   - ask: the answer to a question; `nil`: there is none.
    ///   - unixTime: for the greeting.
    public init(
        _ request: Request, _ configuration: SMTPServerConfiguration, hostName: String, unixTime: Int64,
        ask: @escaping PolicyDialogue.Asker
    ) {
        let values = ServerConfiguration.Values(configuration, hostName: hostName)
        let last = LastAnswer()
        var dialogue = PolicyDialogue(
            configuration, ServerConfiguration(values), client: request.client,
            authenticatedUser: request.authenticatedUser, sessionID: "explain-\(unixTime)"
        ) { question in
            let answer = ask(question)
            last.wasAsked = true
            last.answer = answer
            return answer
        }
        var replies: [UInt8] = []
        var isOpen = dialogue.connect(unixTime: unixTime, into: &replies)
        clientName = dialogue.policy.clientName
        reverseFlags = dialogue.policy.reverseFlags
        note("connect", "", last, replies, isNeedless: false)
        var commands: [(PolicyQuestion.Verb, String)] = [
            (.helo, "\(Self.greetingVerb(configuration)) \(request.helo ?? request.client.unmapped.literal)"),
            (
                .mail,
                "MAIL FROM:<\(request.sender)>\(Self.isASCII([request.sender] + request.recipients) ? "" : " SMTPUTF8")"
            ),
        ]
        for recipient in request.recipients { commands.append((.rcpt, "RCPT TO:<\(recipient)>")) }
        for (verb, command) in commands where isOpen {
            replies = []
            last.wasAsked = false
            last.answer = nil
            isOpen = dialogue.receive(Array((command + "\r\n").utf8), into: &replies)
            note(verb.rawValue, command, last, replies, isNeedless: dialogue.policy.isNeedless(verb))
        }
        dialogue.disconnect()
    }

    /// What the closure of a dialogue has seen; used by one thread.
    private final class LastAnswer {
        var wasAsked = false
        var answer: PolicyAnswer?
    }

    private static func greetingVerb(_ configuration: SMTPServerConfiguration) -> String {
        configuration.isLMTP ? "LHLO" : configuration.offersEHLO ? "EHLO" : "HELO"
    }

    private static func isASCII(_ texts: [String]) -> Bool { texts.allSatisfy { $0.utf8.allSatisfy { $0 < 0x80 } } }

    private mutating func note(
        _ name: String, _ command: String, _ last: LastAnswer, _ replies: [UInt8], isNeedless: Bool
    ) {
        let lines = replies.split(separator: 0x0a).map { String(decoding: $0.filter { $0 != 0x0d }, as: UTF8.self) }
        let reason: String
        if let answer = last.answer {
            reason = answer.reason
        } else if last.wasAsked {
            reason = PolicyAnswer.unanswered
        } else {
            reason = isNeedless ? "not asked: the answer is known since the client connected" : "the session's own"
        }
        phases.append(
            Phase(
                name: name, command: command, verdict: Self.verdict(lines, last.answer), reply: lines, reason: reason,
                answer: last.answer))
    }

    private static func verdict(_ reply: [String], _ answer: PolicyAnswer?) -> Verdict {
        switch reply.last?.first {
        case "2"?:
            if let answer, answer.freezeCode > 0 { return .freeze }
            return answer?.verdict == .submit ? .submit : .accept
        case "4"?: return .temporary
        case nil: return .drop
        case _: return .refuse
        }
    }

    /// Of the whole: for good if anything was refused for good.
    public var verdict: Verdict {
        let all = phases.map(\.verdict)
        for verdict in [Verdict.drop, .refuse, .temporary, .freeze, .submit] where all.contains(verdict) {
            return verdict
        }
        return .accept
    }
}
