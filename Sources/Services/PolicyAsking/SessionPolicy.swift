import Policy

/// What an asker remembers of the policy's answers about one session, beside the replies that the client saw.
///
/// Answers to `connect` and `helo` hold for the session, those to `mail` and `rcpt` for the transaction (docs/protocols.md §2).
public struct SessionPolicy: Hashable, Sendable {
    /// What one message may gather; more is left out.
    public static let maximumComments = 100
    public static let maximumHeaderFields = 10

    /// Why accepted mail goes to the freezer.
    public struct Freeze: Hashable, Sendable {
        /// Above 0.
        public let code: Int
        public let reason: String

        public init(code: Int, reason: String) {
            self.code = code
            self.reason = reason
        }
    }

    /// What a message gathers.
    private struct Gathered: Hashable, Sendable {
        var state = ""
        var freeze: Freeze?
        var comments: [String] = []
        var headerFields: [String] = []
        /// As the last answer has it; `nil`: none has come.
        var runsFilter: Bool?
    }

    private var session = Gathered()
    private var transaction = Gathered()
    private var needless: Set<PolicyQuestion.Verb> = []
    /// The confirmed name of the client, empty if there is none.
    public private(set) var clientName = ""
    /// As in ``PolicyAnswer/reverseFlags``.
    public private(set) var reverseFlags = ""
    /// Whether the client may submit without a login (MSA-mode).
    public private(set) var trust = PolicyAnswer.Trust.none
    /// Octets that a message of this client may have; 0: no limit of its own.
    public private(set) var maximumSize = 0
    /// Whether the mail of this transaction is a submission, whose header may be completed.
    public private(set) var isSubmission = false

    public init() {}

    /// Whether the answer to a question is known to be "accept", so that it need not be asked.
    public func isNeedless(_ verb: PolicyQuestion.Verb) -> Bool {
        switch verb {
        case .helo, .mail, .stored: needless.contains(verb)
        // What is asked about recipients depends on the recipient; the others are for counting.
        case .connect, .disconnect, .rcpt, .auth, .authFailed, .verify, .expand: false
        }
    }

    /// ``PolicyQuestion/state`` of the next question.
    public func state(for verb: PolicyQuestion.Verb) -> String {
        switch verb {
        case .connect, .disconnect, .auth, .authFailed: ""
        case .helo, .mail, .verify, .expand: session.state
        case .rcpt, .stored: transaction.state.isEmpty ? session.state : transaction.state
        }
    }

    /// Whether the client may submit without a login: its network or name is trusted.
    public var isTrusted: Bool { trust == .granted }

    /// The client has logged in: who may send as whom depends on the login, so MAIL is asked about from now on.
    public mutating func clientLoggedIn() { needless.remove(.mail) }

    /// MAIL came: nothing of an earlier transaction holds any more.
    public mutating func beginTransaction() {
        transaction = Gathered()
        isSubmission = false
    }

    /// Takes over what an answer says. Answers about recipients must come in the order of the commands.
    ///
    /// An answer without a state leaves the last one: a service in trouble must not make a session forget its flags.
    public mutating func take(_ answer: PolicyAnswer, to question: PolicyQuestion.Verb) {
        switch question {
        case .connect:
            clientName = answer.clientName
            reverseFlags = answer.reverseFlags
            trust = answer.trust
            takeForSession(answer)
        case .helo:
            if answer.verdict == .accept { trust = answer.trust }
            takeForSession(answer)
        case .mail, .rcpt:
            Self.gather(answer, &transaction)
            if answer.verdict == .submit { isSubmission = true }
        case .disconnect, .stored, .auth, .authFailed, .verify, .expand:
            break
        }
    }

    private mutating func takeForSession(_ answer: PolicyAnswer) {
        Self.gather(answer, &session)
        if answer.maximumSize > 0 { maximumSize = answer.maximumSize }
        needless.formUnion(answer.needless)
    }

    private static func gather(_ answer: PolicyAnswer, _ gathered: inout Gathered) {
        gathered.runsFilter = answer.runsFilter
        if !answer.state.isEmpty { gathered.state = answer.state }
        let isAccepted = answer.verdict == .accept || answer.verdict == .submit
        if isAccepted, answer.freezeCode > 0, gathered.freeze == nil {
            gathered.freeze = Freeze(code: answer.freezeCode, reason: answer.reason)
        }
        if !answer.comment.isEmpty, gathered.comments.count < maximumComments,
            !gathered.comments.contains(answer.comment)
        {
            gathered.comments.append(answer.comment)
        }
        let fields = gathered.headerFields
        if !answer.headerField.isEmpty, fields.count < maximumHeaderFields, !fields.contains(answer.headerField) {
            gathered.headerFields.append(answer.headerField)
        }
    }

    /// Whether content filters look at the message (policy.md §8, DATA).
    public var runsFilter: Bool { transaction.runsFilter ?? session.runsFilter ?? true }
    /// Not `nil`: the message goes to the freezer.
    public var freeze: Freeze? { session.freeze ?? transaction.freeze }

    /// `comment` lines of the message's envelope (policy.md §8.2).
    public var comments: [String] { session.comments + transaction.comments }

    /// Fields for the top of the message, without line ends.
    public var headerFields: [String] { session.headerFields + transaction.headerFields }
}
