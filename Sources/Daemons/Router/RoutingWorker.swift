import Glibc
import MailModel
import Postoffice
import Routing
import SpoolFormat
import Telemetry

/// Routes one message after the other: `router/X` → `queue/X` and `transport/X` (docs/spool.md §4). Confined to one thread.
public final class RoutingWorker {
    /// The answer for one job (docs/protocols.md §4).
    public enum Outcome: Hashable, Sendable {
        /// Its control file is there: the scheduler is to be told, and `router/X` to be settled.
        case done
        /// Moved to `deferred/`.
        case deferred(String)
        /// `router/X` does not exist (any more).
        case gone
        /// Moved to `postman/`, or left where it is because the spool is in trouble.
        case failed(String)
    }

    /// Octets read first: enough for the envelope and header of nearly every message.
    static let firstRead = 16 << 10
    /// Octets of envelope and header together.
    static let largestRead = 64 << 20
    /// Seconds after which what cannot be routed goes back to its sender.
    public static let patience: Int64 = 5 * 86_400

    private let postoffice: Postoffice
    private let router: MessageRouter
    private let log: EventLog
    /// Seconds since 1970.
    private let clock: () -> Int64

    public init(
        postoffice: Postoffice, tables: any RoutingTables, hostName: String, log: EventLog,
        clock: @escaping () -> Int64 = { Int64(time(nil)) }
    ) {
        self.postoffice = postoffice
        self.router = MessageRouter(tables: tables, hostName: hostName)
        self.log = log
        self.clock = clock
    }

    public func process(_ id: SpoolID) -> Outcome {
        do throws(PostofficeError) {
            return try route(id)
        } catch {
            if error.kind == .notFound { return .gone }
            log.error("spool", ["queue-id": "\(id)", "reason": error.description])
            return .failed(error.description)
        }
    }

    private func route(_ id: SpoolID) throws(PostofficeError) -> Outcome {
        let now = clock()
        let age = now - id.unixTime
        var limit = Self.firstRead
        while true {
            let (octets, size) = try postoffice.readPrefix(.router, id, limit: limit)
            let file = MessageRouter.File(id: id, size: size, time: id.unixTime)
            let result: MessageRouter.Result
            do throws(RoutingTrouble) {
                result = try router.route(octets, file, givesUp: age > Self.patience)
            } catch {
                return try hold(id, error.description)
            }
            switch result {
            case .routed(let control): return try queue(control, now)
            case .needsMore where limit < min(size, Self.largestRead): limit = min(limit * 8, Self.largestRead)
            case .needsMore:
                return try reject(id, "envelope and header exceed \(Self.largestRead) octets", as: "badenvelope")
            case .invalid(let reason): return try reject(id, reason, as: "badenvelope")
            case .incomplete:
                return try reject(id, "a part of a message that was never acknowledged", as: "incomplete")
            }
        }
    }

    private func queue(_ control: ControlFile, _ now: Int64) throws(PostofficeError) -> Outcome {
        var control = control
        if try postoffice.claimForQueue(control.id) == .gone { return .gone }
        let head = control.encodeHead()
        if try !postoffice.writeControl(control.id, head) {
            // Routed before a crash: a good control file may hold results by now and must stay.
            if try Recovery.hasControl(postoffice, control.id) { return .done }
            try postoffice.writeControl(control.id, head, replacing: true)
        }
        record(control, now)
        return .done
    }

    /// Temporary trouble: tried again later from `deferred/`.
    private func hold(_ id: SpoolID, _ reason: String) throws(PostofficeError) -> Outcome {
        if try wasRouted(id) { return .done }
        dropClaim(id)
        try postoffice.move(id, from: .router, to: .deferred)
        log.warning("deferred", ["queue-id": "\(id)", "reason": reason])
        return .deferred(reason)
    }

    /// Not a message file.
    private func reject(_ id: SpoolID, _ reason: String, as kind: String) throws(PostofficeError) -> Outcome {
        if try wasRouted(id) { return .done }
        dropClaim(id)
        try postoffice.move(id, from: .router, to: .postman, suffix: ":\(kind)")
        log.error("rejected", ["queue-id": "\(id)", "moved-to": "postman/\(id):\(kind)", "reason": reason])
        return .failed(reason)
    }

    /// Routed before a crash: that holds. Both files must be there before the name in `router/` may go.
    private func wasRouted(_ id: SpoolID) throws(PostofficeError) -> Bool {
        guard try Recovery.hasControl(postoffice, id) else { return false }
        return try postoffice.claimForQueue(id) != .gone
    }

    /// What a crash between claim and control file left. Before the message leaves `router/`: a message file in `queue/` that
    /// stands nowhere else would be taken for one to be routed again, and the message would have two lives.
    private func dropClaim(_ id: SpoolID) {
        unlink(postoffice.path(.queue, id))
        unlink(postoffice.path(.transport, id))
    }

    private func record(_ control: ControlFile, _ now: Int64) {
        let count = control.groups.reduce(0) { $0 + $1.recipients.count }
        log.info(
            "routed",
            [
                "queue-id": "\(control.id)", "from": control.groups.first.map { $0.errorsTo ?? "<>" } ?? "<>",
                "size": "\(control.messageSize)", "nrcpts": "\(count)", "msgid": control.logID,
                "delay": "\(max(0, now - control.id.unixTime))",
            ])
    }
}
