import Glibc
import MailModel
import PolicyAsking
import Postoffice
import SMTPProtocol
import SpoolFormat

/// A message that is coming in: envelope, `Received:` and content as they will stand in the file. Confined to its session;
/// the octets are handed over to the pool, never shared with it.
final class IncomingMessage {
    let id: SpoolID
    let transaction: Transaction
    private let intake: Intake
    /// Fields that we put on top: what the policy adds, and `Received:`.
    private let received: [UInt8]
    private let freeze: SessionPolicy.Freeze?
    /// The whole message, or what came since the last spill.
    private(set) var octets: [UInt8]
    /// Octets reserved from the intake.
    private var allowance: Int
    /// There once a part was written.
    var draft: MessageDraft?
    /// Octets of content so far.
    private(set) var contentSize = 0
    /// Seconds on the loop's clock at which it began.
    let begun: Int

    /// What the envelope tells beside the transaction.
    struct Extras {
        /// Seconds since 1970: what times relative to the arrival count from.
        var arrived: Int64
        /// The authenticated user.
        var user: String?
        /// The client may be believed what `AUTH=` says (RFC 4954 §5).
        var isTrusted = false
        /// `via` of the envelope.
        var via: String?
    }

    /// `nil` if too much is held in memory already.
    init?(
        _ transaction: Transaction, id: SpoolID, trace: Trace, date: String, submission: MessageEnvelope.Submission?,
        extras: Extras, policy: SessionPolicy = SessionPolicy(), begun: Int, intake: Intake
    ) {
        let announced = min(transaction.mail.size ?? 0, Intake.spillSize)
        // Not what SIZE announces: who only announces must not take the memory of those who send.
        let allowance = Intake.initialAllowance
        guard intake.reserve(allowance) else { return nil }
        self.allowance = allowance
        self.id = id
        self.transaction = transaction
        self.intake = intake
        self.begun = begun
        let single = transaction.recipients.count == 1 ? transaction.recipients[0].forwardPath : nil
        freeze = policy.freeze
        let fields = policy.headerFields.map(MessageHead.folded).joined()
        received = Array((fields + trace.field(id: id.description, recipient: single, date: date)).utf8)
        let envelope = MessageHead.envelope(
            transaction, trace: trace, submission: submission, extras: extras, comments: policy.comments
        ).encoded()
        octets = []
        octets.reserveCapacity(envelope.count + received.count + max(announced, 6 << 10))
        octets.append(contentsOf: envelope)
        octets.append(contentsOf: received)
    }

    deinit { intake.release(allowance) }

    func append(_ content: UnsafeRawBufferPointer) {
        octets.append(contentsOf: content)
        contentSize += content.count
    }

    func append(_ content: [UInt8]) {
        octets.append(contentsOf: content)
        contentSize += content.count
    }

    /// Whether what is in memory must be written before more is taken.
    var needsSpill: Bool {
        if octets.count <= allowance { return false }
        if octets.count >= Intake.spillSize { return true }
        let more = octets.count - allowance + (32 << 10)
        guard intake.reserve(more) else { return true }
        allowance += more
        return false
    }

    /// All of it is in a file.
    func releaseMemory() {
        intake.release(allowance)
        allowance = 0
    }

    /// Takes the octets out, for the pool.
    func takeOctets() -> [UInt8] {
        let taken = octets
        octets = []
        return taken
    }

    /// Ends the message: its `traits` line, and the octets with that line in place if all of them are in memory.
    func finish(_ summary: MessageSummary) -> (octets: [UInt8], traits: [UInt8]) {
        let traits = MessageEnvelope.encodedTraits(MessageHead.traits(summary, received: received))
        if draft == nil {
            let start = MessageEnvelope.traitsOffset
            octets.replaceSubrange(start..<(start + traits.count), with: traits)
        }
        return (takeOctets(), traits)
    }

    func record(session: String, client: String) -> Intake.Record {
        Intake.Record(
            id: id, session: session, client: client, sender: transaction.reversePath.description,
            recipients: transaction.recipients.count, size: contentSize + received.count,
            freeze: freeze.map { FreezeNote(code: $0.code, time: Int64(time(nil)), reason: $0.reason) })
    }
}
