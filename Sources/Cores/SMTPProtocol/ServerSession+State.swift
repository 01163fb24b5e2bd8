import MailModel

extension ServerSession {
    enum State: Sendable {
        /// Before ``greet(_:into:)``.
        case greeting
        /// The peer was refused; each command is answered so.
        case refused(Reply)
        /// HELO must come before a transaction.
        case awaitingHello
        case askingHello(Hello)
        case idle
        indirect case askingSender(MailCommand)
        /// The policy refused MAIL; RCPTs behind it are refused in its name.
        case senderRefused(isTransient: Bool)
        /// MAIL was accepted. `pending` are recipients whose questions are out, oldest first.
        indirect case transaction(Transaction, pending: [RecipientCommand])
        /// A query is out; then `next` holds again.
        indirect case asking(Query, next: State)
        /// 220 was written: the host does the handshake.
        case startingTLS
        case authenticating(AuthenticationPhase)
        /// `beginMessage` is out.
        indirect case opening(Transaction, Framing)
        /// Behind 354: octets belong to the message until CRLF.CRLF.
        indirect case data(Incoming)
        /// Inside a chunk.
        indirect case chunk(Incoming, remaining: Int, size: Int, isLast: Bool)
        case betweenChunks(Incoming)
        /// The octets of a refused BDAT are read and dropped, then it is answered.
        indirect case discarding(octets: Int, reply: Reply, next: State)
        /// A BDAT failed: no transaction, and further chunks of it are dropped (RFC 3030 §2).
        case chunksFailed
        /// `endMessage` is out.
        case committing(Framing, recipients: Int, octets: Int)
        case closed
        /// While a payload is being changed, so that it is not copied.
        case modifying
    }

    enum Framing: Hashable, Sendable {
        case data
        case chunk(octets: Int, isLast: Bool)
    }

    enum Query: Hashable, Sendable {
        case verify
        case expand
        case startQueue
        case changeClient
        case debug
    }

    enum AuthenticationPhase: Hashable, Sendable {
        /// The host decides.
        case awaitingAnswer
        /// 334 was written: the next line is the client's response.
        case awaitingResponse
    }

    /// A message that is coming in.
    struct Incoming: Sendable {
        var decoder: DataDecoder
        /// Accepted ones: LMTP answers for each.
        let recipients: Int
        /// Why it will be refused at its end, when the host said so.
        var failure: Reply?
    }
}
