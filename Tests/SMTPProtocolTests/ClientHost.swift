import MailModel

@testable import SMTPProtocol

/// A host without a network: sends what the session writes to `send`, with the content it asks for.
struct ClientHost {
    var session: ClientSession
    /// Everything written and not yet taken.
    var sent: [UInt8] = []
    var content: [UInt8] = []
    var results: [[RecipientResult]] = []
    var framings: [ClientSession.ContentFraming] = []
    var isReady = false
    var closed: ClientSession.CloseReason?
    /// What the handshake proves; `nil`: it is not done, and what comes then is clear text still.
    var handshake: ClientSession.Security? = .encrypted
    var asksForHandshake = false
    private var pending: [UInt8] = []

    /// AUTH: the mechanisms that are tried, in this order.
    var mechanisms: [String] = []
    var initialResponse: [UInt8]?
    var believes = true
    var refusals: [Reply?] = []
    var challenges: [[UInt8]] = []

    init(_ change: (inout ClientSession.Configuration) -> Void = { _ in }) {
        var configuration = ClientSession.Configuration(helloName: "client.example")
        change(&configuration)
        session = ClientSession(configuration: configuration)
    }

    mutating func receive(_ octets: [UInt8]) {
        let input = pending + octets
        var used = 0
        isReady = false
        input.withUnsafeBytes { all in
            while true {
                let (consumed, action) = session.receive(UnsafeRawBufferPointer(rebasing: all[used...]), into: &sent)
                used += consumed
                switch action {
                case .needInput: return
                case .ready:
                    isReady = true
                    return
                case .sendContent(let framing):
                    framings.append(framing)
                    switch framing {
                    case .chunk(let octets): sent += content.prefix(octets)
                    case .dotStuffed:
                        var stuffer = DotStuffer()
                        content.withUnsafeBytes { stuffer.stuff($0, into: &sent) }
                        stuffer.finish(into: &sent)
                    }
                    session.contentSent(into: &sent)
                case .startTLS:
                    asksForHandshake = true
                    guard let handshake else { return }
                    sent += "<TLS>\r\n".utf8
                    session.tlsStarted(isVerified: handshake == .verified, into: &sent)
                case .authenticate(let refusal):
                    refusals.append(refusal)
                    guard !mechanisms.isEmpty else {
                        session.abandonAuthentication(refusal.map { .refused($0) } ?? .notPossible("x"), into: &sent)
                        continue
                    }
                    session.authenticate(mechanisms.removeFirst(), initialResponse: initialResponse, into: &sent)
                case .challenge(let challenge):
                    challenges.append(challenge)
                    session.respond(Array("answer".utf8), into: &sent)
                case .authenticated:
                    if believes {
                        session.authenticationCompleted()
                    } else {
                        session.abandonAuthentication(.distrusted("x"), into: &sent)
                    }
                case .finished(let results):
                    self.results.append(results)
                case .close(let reason):
                    closed = reason
                    return
                }
            }
        }
        pending = Array(input[used...])
    }

    mutating func begin(_ message: ClientMessage, content: String) {
        self.content = octets(content)
        session.begin(message, into: &sent)
        receive([])
    }

    mutating func quit() {
        session.quit(into: &sent)
        receive([])
    }

    /// Takes what was written so far.
    mutating func written() -> String {
        defer { sent = [] }
        return text(sent).replacing("\r\n", with: "\n")
    }

    static let message = "Subject: x\r\n\r\n.dot\r\n"

    static func mail(_ recipients: String..., content: String = message) -> ClientMessage {
        ClientMessage(
            reversePath: .mailbox(Mailbox("a@example.org")!),
            recipients: recipients.map { ClientMessage.Recipient(.mailbox(Mailbox($0)!)) }, size: content.utf8.count)
    }
}
