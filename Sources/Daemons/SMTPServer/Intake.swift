import Configuration
import Glibc
import MailModel
import NIOCore
import PolicyAsking
import Postoffice
import SMTPProtocol
import SpoolFormat
import Synchronization
import Telemetry

/// The way of accepted messages into POSTOFFICE, for all sessions of a process.
final class Intake: Sendable {
    /// Octets of message content held in memory by all sessions; beyond it new messages are answered 452.
    static let memoryLimit = 256 << 20
    /// Octets that each message may hold without asking.
    static let initialAllowance = 16 << 10
    /// Octets of a message held in memory; what is more goes to the file on the way.
    static let spillSize = 256 << 10

    let postoffice: Postoffice
    let pool: BlockingPool
    let conditions: HostConditions
    let log: EventLog
    let metrics = ServerMetrics()
    private let notices: NoticeSender
    private let settings: Settings
    private let held = Atomic<Int>(0)
    /// Messages that are being stored now.
    private let storing = Atomic<Int>(0)

    init(
        _ settings: Settings, pool: BlockingPool,
        loadAverage: @escaping HostConditions.LoadAverage = HostConditions.systemLoadAverage, log: EventLog
    ) throws(PostofficeError) {
        postoffice = try Postoffice(settings.postoffice)
        self.pool = pool
        self.log = log
        self.settings = settings
        conditions = HostConditions(
            postoffice, settings.configuration, metrics: metrics, loadAverage: loadAverage, log: log)
        notices = NoticeSender(socketPath: "\(settings.postoffice)/.router.notify", directory: "router")
    }

    var isStoring: Bool { storing.load(ordering: .acquiring) > 0 }

    // MARK: may it come in?

    /// Whether the file system has filled up since MAIL was accepted.
    var isSpaceLow: Bool {
        let free = conditions.freeKilobytesNow
        return free >= 0 && free < settings.configuration.minimumFreeKilobytes || conditions.isShortOfInodes
    }

    /// Why a message of `size` octets (0: unknown) cannot be taken now; `nil` if it can.
    func obstacle(size: Int) -> (reply: Reply, reason: String)? {
        let free = conditions.freeKilobytesNow
        if free < 0 || conditions.isHung {
            return (
                Reply(451, EnhancedStatusCode(4, 3, 0), "Requested action aborted: local error in processing"),
                free < 0 ? "spool-unusable" : "spool-unusable: no answer for \(HostConditions.hungAfter / 1000) s"
            )
        }
        let required = settings.configuration.minimumFreeKilobytes &+ min(size, 1 << 50) / 1024
        if free < required { return full("min-availspace: \(free) KiB free of \(required)") }
        if conditions.isShortOfInodes {
            return full("fewer than \(settings.configuration.minimumFreeInodes) inodes free")
        }
        switch conditions.closedCause {
        case .space?:
            return full("min-availspace: \(free) KiB free, and some more are wanted before mail is taken again")
        case .inodes?: return full("min-availinodes: more must be free before mail is taken again")
        case .waiting?: return busy("queue-limit \(settings.configuration.queueLimit)")
        case .recipients?: return busy("queue-recipients \(settings.configuration.queueRecipients)")
        case nil: break
        }
        if conditions.isLoadAbove(settings.options.maximumLoad) {
            return (
                Reply(451, EnhancedStatusCode(4, 3, 2), "The system is too busy now, try later"),
                "load above \(settings.options.maximumLoad)"
            )
        }
        return nil
    }

    private func full(_ reason: String) -> (reply: Reply, reason: String) {
        (Reply(452, EnhancedStatusCode(4, 3, 1), "Requested action not taken: insufficient storage"), reason)
    }

    private func busy(_ reason: String) -> (reply: Reply, reason: String) {
        (Reply(452, EnhancedStatusCode(4, 3, 2), "Too many messages are waiting here, try later"), reason)
    }

    /// Takes `octets` of the memory that messages may hold.
    func reserve(_ octets: Int) -> Bool {
        let total = held.add(octets, ordering: .relaxed).newValue
        if total <= Self.memoryLimit { return true }
        held.subtract(octets, ordering: .relaxed)
        return false
    }

    func release(_ octets: Int) { held.subtract(octets, ordering: .relaxed) }

    // MARK: storing; these block: pool threads only

    /// What the log tells of a message.
    struct Record: Sendable {
        let id: SpoolID
        let session: String
        let client: String
        let sender: String
        var recipients: Int
        var size: Int
        /// Not `nil`: it goes to the freezer.
        var freeze: FreezeNote?
    }

    /// Writes what is in memory to the message's file, which is made when there is none yet.
    func spill(_ id: SpoolID, _ draft: MessageDraft?, _ octets: [UInt8]) throws(PostofficeError) -> MessageDraft {
        let draft = if let draft { draft } else { try postoffice.draft(id) }
        try draft.append(octets)
        return draft
    }

    /// Makes the message durable, tells the router of it unless it is frozen, and logs it. `octets` is the whole message unless there is a draft;
    /// `traits` is `nil` where the draft has them already.
    func commit(
        _ record: Record, _ draft: MessageDraft?, _ octets: [UInt8], traits: [UInt8]?
    ) throws(PostofficeError) {
        let place = record.freeze.map(MessageDraft.Place.freezer) ?? .router
        if let draft {
            try draft.append(octets)
            if let traits { try draft.overwrite(at: MessageEnvelope.traitsOffset, traits) }
            try draft.commit(to: place)
        } else {
            try postoffice.submit(record.id, [octets], to: place)
        }
        metrics.messages.add(record.freeze == nil ? .accepted : .frozen)
        metrics.octets.add(record.size)
        metrics.recipients.add(record.recipients)
        guard let freeze = record.freeze else {
            notices.send(record.id)
            log.info(
                "accepted",
                [
                    "queue-id": record.id.description, "session": record.session, "client": record.client,
                    "from": record.sender, "nrcpt": "\(record.recipients)", "size": "\(record.size)",
                ])
            return
        }
        log.info(
            "accepted",
            [
                "queue-id": record.id.description, "session": record.session, "client": record.client,
                "from": record.sender, "nrcpt": "\(record.recipients)", "size": "\(record.size)",
                "freeze": "\(freeze.code)", "reason": freeze.reason,
            ])
    }

    /// ``commit(_:_:_:traits:)`` on a thread of the pool; `body` runs there with the error, if there was one.
    func commitLater(
        _ record: Record, _ draft: MessageDraft?, _ octets: [UInt8], traits: [UInt8]?,
        then body: @escaping @Sendable (PostofficeError?) -> Void
    ) {
        storing.add(1, ordering: .acquiringAndReleasing)
        let begun = NIODeadline.now()
        pool.submit { [self] in
            do throws(PostofficeError) {
                try commit(record, draft, octets, traits: traits)
                metrics.acceptTime.observe(microseconds: (NIODeadline.now() - begun).nanoseconds / 1000)
                body(nil)
            } catch {
                body(error)
            }
            storing.subtract(1, ordering: .acquiringAndReleasing)
        }
    }

    /// The whole message in a file with a name that content filters can open.
    func publish(
        _ id: SpoolID, _ draft: MessageDraft?, _ octets: [UInt8], traits: [UInt8]
    ) throws(PostofficeError) -> (draft: MessageDraft, path: String) {
        let draft = try spill(id, draft, octets)
        try draft.overwrite(at: MessageEnvelope.traitsOffset, traits)
        return (draft, try draft.publish())
    }

    /// The reply for a message that could not be stored; one line in the log.
    func refusal(_ error: PostofficeError, session: String) -> Reply {
        metrics.messages.add(.failed)
        log.error("not-stored", ["session": session, "reason": error.description])
        switch error.kind {
        case .full:
            return Reply(452, EnhancedStatusCode(4, 3, 1), "Requested action not taken: insufficient storage")
        case .readOnly, .notOwner, .missing, .exists, .notFound, .system:
            return Reply(451, EnhancedStatusCode(4, 3, 0), "Requested action aborted: local error in processing")
        }
    }
}
