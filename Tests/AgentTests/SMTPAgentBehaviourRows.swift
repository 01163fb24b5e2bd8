import Testing

/// How remote hosts behave beyond single replies, and what must become of each recipient.
struct SMTPAgentBehaviourRow: Sendable, CustomTestStringConvertible {
    let name: String
    var recipients = ["a@b.test", "b@b.test", "c@b.test"]
    var isLMTP = false
    /// Of commands and greeting; replies take at most this long where a row waits for it.
    var timeout = Duration.seconds(20)
    var script: @Sendable (inout SMTPAgentPeer.Script) -> Void
    /// Result word and status of each recipient.
    let expected: [String]
    /// Messages that the peer took; `nil`: it may not have read so far.
    var messages: Int?
    var connections = 1

    init(
        _ name: String, _ expected: [String], messages: Int?, connections: Int = 1, recipients: [String]? = nil,
        isLMTP: Bool = false, timeout: Duration = .seconds(20),
        _ script: @escaping @Sendable (inout SMTPAgentPeer.Script) -> Void
    ) {
        self.name = name
        if let recipients { self.recipients = recipients }
        self.isLMTP = isLMTP
        self.timeout = timeout
        self.script = script
        self.expected = expected
        self.messages = messages
        self.connections = connections
    }

    var testDescription: String { name }

    private static let pipelining = ["PIPELINING", "8BITMIME", "SIZE 10000000", "DSN"]
    private static let single = ["8BITMIME", "SIZE 10000000", "DSN"]
    private static let chunking = ["PIPELINING", "CHUNKING", "8BITMIME", "SIZE"]
    private static let short = Duration.milliseconds(700)
    private static func three(_ outcome: String) -> [String] { [outcome, outcome, outcome] }

    static let all: [SMTPAgentBehaviourRow] =
        drops + silences + partial + shapes + pipelines + recipientLimits + sizes + deliveries

    /// The connection ends at a stage.
    private static let drops: [SMTPAgentBehaviourRow] = [
        Self("dropped instead of the greeting", three("deferall 4.4.2"), messages: 0) { $0.always[.greeting] = .drop },
        Self("dropped behind the greeting", three("deferall 4.4.2"), messages: 0) {
            $0.always[.greeting] = .sayAndDrop("220 hello")
        },
        Self("dropped instead of the reply to EHLO", three("deferall 4.4.2"), messages: 0) { $0.always[.ehlo] = .drop },
        Self("dropped in the middle of the reply to EHLO", three("deferall 4.4.2"), messages: 0) {
            $0.always[.ehlo] = .sayAndDrop("250-peer.test")
        },
        Self("dropped instead of the reply to HELO", three("deferall 4.4.2"), messages: 0) {
            $0.keywords = nil
            $0.always[.helo] = .drop
        },
        Self("dropped instead of the reply to MAIL", three("deferred 4.4.2"), messages: 0) { $0.always[.mail] = .drop },
        Self("dropped behind the reply to MAIL", three("deferred 4.4.2"), messages: 0) {
            $0.always[.mail] = .sayAndDrop("250 ok")
        },
        Self("MAIL refused for good, then dropped", three("error 5.7.1"), messages: 0) {
            $0.keywords = single
            $0.always[.mail] = .sayAndDrop("550 5.7.1 no")
        },
        Self("dropped instead of the reply to the first RCPT", three("deferred 4.4.2"), messages: 0) {
            $0.always[.rcpt] = .drop
        },
        Self(
            "a recipient refused, then dropped: the refusal holds",
            ["error 5.1.1", "deferred 4.4.2", "deferred 4.4.2"],
            messages: 0
        ) { $0.turns[.rcpt] = [.say("550 5.1.1 no user"), .drop] },
        Self("dropped instead of the reply to DATA", three("deferred 4.4.2"), messages: 0) { $0.always[.data] = .drop },
        Self("dropped behind 354", three("deferred 4.4.2"), messages: 0) {
            $0.always[.data] = .sayAndDrop("354 go on")
        },
        Self(
            "the reply to the final dot is lost: it may have been taken, and is sent again", three("deferred 4.4.2"),
            messages: 1
        ) {
            $0.always[.content] = .drop
        },
        Self("the reply to the last chunk is lost", three("deferred 4.4.2"), messages: 1) {
            $0.keywords = chunking
            $0.always[.content] = .drop
        },
        Self("taken, and dropped behind the reply", three("ok 2.0.0"), messages: 1) {
            $0.always[.content] = .sayAndDrop("250 2.0.0 taken")
        },
        Self("half a reply behind the content, then dropped", three("deferred 4.4.2"), messages: 1) {
            $0.always[.content] = .raw("250 2.0")
            $0.messagesPerConnection = 1
        },
        Self("421 and the end instead of the reply to MAIL: the host has no time", three("deferall 4.3.2"), messages: 0)
        {
            $0.always[.mail] = .sayAndDrop("421 4.3.2 going down")
        },
        Self(
            "421 and the end instead of the second reply to RCPT", three("deferred 4.3.2"), messages: 0
        ) { $0.turns[.rcpt] = [.say("250 ok"), .sayAndDrop("421 4.3.2 going down")] },
        Self("421 and the end instead of 354", three("deferred 4.3.2"), messages: 0) {
            $0.always[.data] = .sayAndDrop("421 4.3.2 going down")
        },
        Self("421 and the end behind the content", three("deferred 4.3.2"), messages: 1) {
            $0.always[.content] = .sayAndDrop("421 4.3.2 going down")
        },
        Self("421 in the middle of EHLO", three("deferall 4.3.2"), messages: 0) {
            $0.always[.ehlo] = .sayAndDrop("421 4.3.2 going down")
        },
    ]

    /// Nothing is said at a stage.
    private static let silences: [SMTPAgentBehaviourRow] = [
        Self("silent instead of the greeting", three("deferall 4.4.2"), messages: 0, timeout: short) {
            $0.always[.greeting] = .silence
        },
        Self("silent instead of the reply to EHLO", three("deferall 4.4.2"), messages: 0, timeout: short) {
            $0.always[.ehlo] = .silence
        },
        Self("silent instead of the reply to MAIL", three("deferred 4.4.2"), messages: 0, timeout: short) {
            $0.always[.mail] = .silence
        },
        Self("silent instead of the reply to RCPT", three("deferred 4.4.2"), messages: 0, timeout: short) {
            $0.always[.rcpt] = .silence
        },
        Self("silent instead of 354", three("deferred 4.4.2"), messages: 0, timeout: short) {
            $0.always[.data] = .silence
        },
        Self("silent behind the content", three("deferred 4.4.2"), messages: 1, timeout: short) {
            $0.always[.content] = .silence
        },
        Self("a greeting that never ends", three("deferall 4.4.2"), messages: 0, timeout: short) {
            $0.always[.greeting] = .raw("220-hello\r\n")
        },
        Self("a reply that stops in the middle of its line", three("deferred 4.4.2"), messages: 0, timeout: short) {
            $0.keywords = single
            $0.always[.mail] = .raw("25")
        },
    ]

    /// Some recipients are taken.
    private static let partial: [SMTPAgentBehaviourRow] = [
        Self("4xx then 5xx", ["deferred 4.2.1", "error 5.1.1", "ok 2.0.0"], messages: 1) {
            $0.turns[.rcpt] = [.say("450 4.2.1 busy"), .say("550 5.1.1 none")]
        },
        Self("some taken, DATA refused for good", ["error 5.1.1", "error 5.6.0", "error 5.6.0"], messages: 0) {
            $0.turns[.rcpt] = [.say("550 5.1.1 none")]
            $0.always[.data] = .say("554 5.6.0 no")
        },
        Self("some taken, DATA refused for now", ["error 5.1.1", "deferred 4.3.0", "deferred 4.3.0"], messages: 0) {
            $0.turns[.rcpt] = [.say("550 5.1.1 none")]
            $0.always[.data] = .say("451 4.3.0 later")
        },
        Self("some taken, content refused", ["error 5.6.0", "error 5.1.1", "error 5.6.0"], messages: 1) {
            $0.turns[.rcpt] = [.say("250 ok"), .say("550 5.1.1 none")]
            $0.always[.content] = .say("554 5.6.0 spam")
        },
        Self("some taken, content deferred", ["deferred 4.3.0", "error 5.1.1", "deferred 4.3.0"], messages: 1) {
            $0.turns[.rcpt] = [.say("250 ok"), .say("550 5.1.1 none")]
            $0.always[.content] = .say("451 4.3.0 later")
        },
        Self("none taken, DATA refused, pipelined", three("error 5.1.1"), messages: 0) {
            $0.keywords = pipelining
            $0.always[.rcpt] = .say("550 5.1.1 none")
            $0.always[.data] = .say("554 5.5.1 no valid recipients")
        },
        Self("none taken and 354 given, pipelined: a dot alone", three("error 5.1.1"), messages: 1) {
            $0.keywords = pipelining
            $0.always[.rcpt] = .say("550 5.1.1 none")
        },
        Self("none taken and 354 given, the dot refused", three("error 5.1.1"), messages: 1) {
            $0.keywords = pipelining
            $0.always[.rcpt] = .say("550 5.1.1 none")
            $0.always[.content] = .say("554 5.5.1 no recipients")
        },
        Self("none taken, one after the other: no DATA", three("deferred 4.2.1"), messages: 0) {
            $0.keywords = single
            $0.always[.rcpt] = .say("450 4.2.1 busy")
        },
        Self("MAIL refused, RCPT and DATA pipelined behind it refused too", three("error 5.7.1"), messages: 0) {
            $0.keywords = pipelining
            $0.always[.mail] = .say("550 5.7.1 no")
            $0.always[.rcpt] = .say("503 5.5.1 MAIL first")
            $0.always[.data] = .say("503 5.5.1 MAIL first")
        },
        Self("MAIL deferred, RCPT refused for good behind it: MAIL decides", three("deferred 4.7.1"), messages: 0) {
            $0.keywords = pipelining
            $0.always[.mail] = .say("451 4.7.1 come back")
            $0.always[.rcpt] = .say("550 5.5.1 MAIL first")
            $0.always[.data] = .say("503 5.5.1 MAIL first")
        },
        Self(
            "MAIL refused for good, the server takes recipients and DATA all the same", three("error 5.7.1"),
            messages: 1
        ) {
            $0.keywords = pipelining
            $0.always[.mail] = .say("550 5.7.1 no")
        },
        Self("chunk refused: none taken", three("error 5.1.1"), messages: 1) {
            $0.keywords = chunking
            $0.always[.rcpt] = .say("550 5.1.1 none")
            $0.always[.content] = .say("554 5.5.1 no recipients")
        },
        Self("chunk refused for now", three("deferred 4.3.0"), messages: 1) {
            $0.keywords = chunking
            $0.always[.content] = .say("452 4.3.0 full")
        },
        Self(
            "RSET dropped after a refusal that left a transaction open", ["error 5.1.1"], messages: 0,
            recipients: ["a@b.test"]
        ) {
            $0.keywords = single
            $0.always[.rcpt] = .say("550 5.1.1 none")
            $0.always[.rset] = .drop
        },
    ]

    /// Replies in shapes that RFC 5321 does not have.
    private static let shapes: [SMTPAgentBehaviourRow] = [
        Self("lines end in LF alone", three("ok 2.0.0"), messages: 1) {
            $0.always[.greeting] = .raw("220 peer\n")
            $0.always[.ehlo] = .raw("250-peer\n250 SIZE\n")
            $0.always[.mail] = .raw("250 ok\n")
            $0.always[.rcpt] = .raw("250 ok\n")
            $0.always[.data] = .raw("354 ok\n")
            $0.always[.content] = .raw("250 2.0.0 ok\n")
        },
        Self("lines with codes that differ: the last holds", ["error 5.1.1"], messages: 0, recipients: ["a@b.test"]) {
            $0.keywords = single
            $0.always[.rcpt] = .raw("250-fine\r\n450-perhaps\r\n550 5.1.1 none\r\n")
        },
        Self("lines with codes that differ, behind the content", three("ok 2.0.0"), messages: 1) {
            $0.always[.content] = .raw("451-4.3.0 thinking\r\n250 2.0.0 taken\r\n")
        },
        Self("many lines", three("ok 2.0.0"), messages: 1) {
            $0.always[.content] = .raw(String(repeating: "250-2.0.0 still\r\n", count: 90) + "250 2.0.0 taken\r\n")
        },
        Self("a code alone", three("ok 2.0.0"), messages: 1) {
            $0.always[.mail] = .raw("250\r\n")
            $0.always[.rcpt] = .raw("250\r\n")
            $0.always[.content] = .raw("250\r\n")
        },
        Self("a greeting of 100 kB in one line", three("deferall 4.5.0"), messages: 0) {
            $0.always[.greeting] = .raw("220 " + String(repeating: "x", count: 100_000) + "\r\n")
        },
        Self("a greeting of 100 kB in many lines", three("deferall 4.5.0"), messages: 0) {
            $0.always[.greeting] = .raw(
                String(repeating: "220-" + String(repeating: "x", count: 90) + "\r\n", count: 1100))
        },
        Self("a reply to EHLO of 100 kB", three("deferall 4.5.0"), messages: 0) {
            $0.always[.ehlo] = .raw(
                String(repeating: "250-X" + String(repeating: "x", count: 90) + "\r\n", count: 1100))
        },
        Self("a reply to RCPT of 100 kB", three("deferred 4.5.0"), messages: 0) {
            $0.always[.rcpt] = .raw("550 " + String(repeating: "x", count: 100_000) + "\r\n")
        },
        Self("a reply to the content of 100 kB", three("deferred 4.5.0"), messages: 1) {
            $0.always[.content] = .raw("550 " + String(repeating: "x", count: 100_000) + "\r\n")
        },
        Self("no reply at all, but a web server", three("deferall 4.5.0"), messages: 0) {
            $0.always[.greeting] = .raw("HTTP/1.1 400 Bad Request\r\n\r\n")
        },
        Self("NUL and escapes in a reply", ["error 5.1.1", "ok 2.0.0", "ok 2.0.0"], messages: 1) {
            $0.turns[.rcpt] = [.raw("550 5.1.1 \u{0}\u{1b}[2J\t\r\n")]
        },
        Self("a reply that no command asked for behind the greeting", three("deferred 4.5.0"), messages: 0) {
            $0.always[.greeting] = .raw("220 hello\r\n220 hello again\r\n")
            $0.keywords = single
            $0.always[.ehlo] = .raw("354 what\r\n")
        },
        Self(
            "two replies to MAIL: the second is taken for RCPT's, and the end shows it", three("deferred 4.5.0"),
            messages: 0
        ) {
            $0.keywords = single
            $0.always[.mail] = .raw("250 ok\r\n250 ok\r\n")
        },
        Self("two replies to the content: the message is taken", three("ok 2.0.0"), messages: 1) {
            $0.always[.content] = .raw("250 2.0.0 taken\r\n250 2.0.0 taken\r\n")
        },
        Self("354 to RCPT is no acceptance", three("deferred 4.5.0"), messages: 0) {
            $0.keywords = single
            $0.turns[.rcpt] = [.say("354 go on")]
        },
        Self("250 instead of 354 is no permission to send", three("deferred 4.5.0"), messages: 0) {
            $0.always[.data] = .say("250 ok")
        },
    ]

    /// PIPELINING that is offered and does not work.
    private static let pipelines: [SMTPAgentBehaviourRow] = [
        Self("what came with a command is thrown away", three("deferred 4.4.2"), messages: 0, timeout: short) {
            $0.keywords = pipelining
            $0.discardsPipelined = true
        },
        Self("the same without PIPELINING in the list", three("ok 2.0.0"), messages: 1) {
            $0.keywords = single
            $0.discardsPipelined = true
        },
        Self(
            "a reply is left out: the next is taken for it, and what comes then shows it", three("deferred 4.5.0"),
            messages: 0, timeout: short
        ) {
            $0.keywords = pipelining
            $0.turns[.rcpt] = [.say("250 ok"), .raw("")]
        },
        Self("EHLO is refused, and HELO answered", three("ok 2.0.0"), messages: 1) { $0.keywords = nil },
        Self("EHLO ends the connection, as old machines do", three("deferall 4.4.2"), messages: 0) {
            $0.always[.ehlo] = .drop
        },
    ]

    /// "Too many recipients" (RFC 5321 §4.5.3.1.10).
    private static let recipientLimits: [SMTPAgentBehaviourRow] = [
        Self(
            "452 4.5.3 behind two recipients: the third goes in a transaction of its own", three("ok 2.0.0"),
            messages: 2
        ) {
            $0.turns[.rcpt] = [.say("250 ok"), .say("250 ok"), .say("452 4.5.3 too many")]
        },
        Self("552 without a status behind one recipient, one a time", three("ok 2.0.0"), messages: 3) {
            $0.turns[.rcpt] = [
                .say("250 ok"), .say("552 too many"), .say("552 too many"), .say("250 ok"), .say("250 ok"),
            ]
        },
        Self("452 4.5.3 for every recipient: later", three("deferred 4.5.3"), messages: 0) {
            $0.keywords = single
            $0.always[.rcpt] = .say("452 4.5.3 too many")
        },
        Self("452 4.2.2 is about one mailbox", ["deferred 4.2.2", "ok 2.0.0", "ok 2.0.0"], messages: 1) {
            $0.turns[.rcpt] = [.say("452 4.2.2 over quota")]
        },
        Self("552 5.2.2 is about one mailbox, and for good", ["error 5.2.2", "ok 2.0.0", "ok 2.0.0"], messages: 1) {
            $0.turns[.rcpt] = [.say("552 5.2.2 over quota")]
        },
        Self("too many, and then the content is refused", three("error 5.6.0"), messages: 2) {
            $0.turns[.rcpt] = [.say("250 ok"), .say("250 ok"), .say("452 4.5.3 too many")]
            $0.always[.content] = .say("554 5.6.0 no")
        },
        Self(
            "too many, and the connection is dropped behind the content", three("ok 2.0.0"), messages: 2, connections: 2
        ) {
            $0.turns[.rcpt] = [.say("250 ok"), .say("250 ok"), .say("452 4.5.3 too many")]
            $0.turns[.content] = [.sayAndDrop("250 2.0.0 taken")]
        },
        Self("LIMITS RCPTMAX=1", three("ok 2.0.0"), messages: 3) { $0.keywords = single + ["LIMITS RCPTMAX=1"] },
        Self("X-RCPTLIMIT 2", three("ok 2.0.0"), messages: 2) { $0.keywords = single + ["X-RCPTLIMIT 2"] },
    ]

    private static let sizes: [SMTPAgentBehaviourRow] = [
        Self("SIZE too small: no MAIL", three("error 5.3.4"), messages: 0) { $0.keywords = ["SIZE 5"] },
        Self("SIZE 0 is no limit", three("ok 2.0.0"), messages: 1) { $0.keywords = ["SIZE 0"] },
        Self("SIZE without a number is no limit", three("ok 2.0.0"), messages: 1) { $0.keywords = ["SIZE"] },
        Self("SIZE of nonsense is no limit", three("ok 2.0.0"), messages: 1) { $0.keywords = ["SIZE many"] },
        Self("552 to MAIL: too large for good", three("error 5.3.4"), messages: 0) {
            $0.keywords = single
            $0.always[.mail] = .say("552 5.3.4 too big")
        },
        Self("452 to MAIL: no room now", three("deferred 4.3.1"), messages: 0) {
            $0.keywords = single
            $0.always[.mail] = .say("452 4.3.1 full")
        },
    ]

    /// LMTP: a reply for each recipient.
    private static let deliveries: [SMTPAgentBehaviourRow] = [
        Self("LMTP: all three", ["ok 2.0.0", "deferred 4.2.2", "error 5.2.0"], messages: 1, isLMTP: true) {
            $0.turns[.content] = [.say("250 2.0.0 stored"), .say("452 4.2.2 over quota"), .say("550 5.2.0 never")]
        },
        Self(
            "LMTP: dropped behind the first reply", ["ok 2.0.0", "deferred 4.4.2", "deferred 4.4.2"], messages: 1,
            isLMTP: true
        ) {
            $0.turns[.content] = [.say("250 2.0.0 stored"), .drop]
        },
        Self(
            "LMTP: 421 behind the first reply", ["ok 2.0.0", "deferred 4.3.2", "deferred 4.3.2"], messages: 1,
            isLMTP: true
        ) {
            $0.turns[.content] = [.say("250 2.0.0 stored"), .sayAndDrop("421 4.3.2 bye")]
        },
        Self("LMTP: LHLO refused", three("deferall 4.5.1"), messages: 0, isLMTP: true) {
            $0.always[.ehlo] = .say("500 5.5.1 what?")
        },
        Self("LMTP: 503 to DATA without recipients", three("error 5.1.1"), messages: 0, isLMTP: true) {
            $0.always[.rcpt] = .say("550 5.1.1 none")
            $0.always[.data] = .say("503 5.5.1 no recipients")
        },
        Self(
            "LMTP: 354 without recipients ends the session, and decides nothing", three("error 5.1.1"), messages: nil,
            isLMTP: true
        ) {
            $0.always[.rcpt] = .say("550 5.1.1 none")
        },
    ]
}
