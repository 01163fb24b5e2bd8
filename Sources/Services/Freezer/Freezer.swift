import Forms
import Glibc
import Postoffice
import SpoolFormat
import Telemetry

/// What people and the router do with frozen mail. Every change is one line in the log, by which `zmailer trace` tells it. All
/// calls block. Two programs may work at the same time: each change holds the freezer's lock.
public final class Freezer: Sendable {
    public enum Failure: Error, CustomStringConvertible {
        case notFrozen(SpoolID)
        /// There is nobody to tell.
        case noSender
        /// Nothing that was accepted, or nothing that can be read.
        case noMessage(String)
        /// Another program has the lock.
        case busy
        case spool(PostofficeError)

        public var description: String {
            switch self {
            case .notFrozen(let id): "\(id) is not in the freezer"
            case .noSender: "its sender is <>: nobody can be told, so it stays (release or drop it)"
            case .noMessage(let reason): "\(reason): nobody can be told, so it stays (drop it)"
            case .busy: "another program works on the freezer; try again"
            case .spool(let error): error.description
            }
        }
    }

    /// The report that was made of a bounce.
    public struct Report: Hashable, Sendable {
        public let id: SpoolID
        public let to: String
        public let recipients: Int
    }

    let postoffice: Postoffice
    let hostName: String
    let forms: FormLibrary
    let log: EventLog
    /// Who acts, for the log.
    let actor: String
    private let routerNotice: NoticeSender
    /// Milliseconds to wait for another program.
    private let patience: Int64

    /// - Parameters:
    ///   - mailshare: `forms/frozen` in it is the text of reports, instead of the one here.
    ///   - languages: of forms, first choice first.
    ///   - patience: milliseconds that a change waits for another program.
    public init(
        postoffice: Postoffice, hostName: String, mailshare: String, languages: [String] = [], log: EventLog,
        actor: String,
        patience: Int64 = 10_000
    ) {
        self.postoffice = postoffice
        self.hostName = hostName
        forms = FormLibrary(directory: "\(mailshare)/forms", languages: languages)
        self.log = log
        self.actor = actor
        self.patience = patience
        routerNotice = NoticeSender(socketPath: "\(postoffice.root)/.router.notify", directory: "router")
    }

    /// Names of all frozen messages, oldest first.
    public func messages() throws(Failure) -> [SpoolID] {
        do throws(PostofficeError) { return try postoffice.entries(.freezer) } catch { throw .spool(error) }
    }

    public func message(_ id: SpoolID) throws(Failure) -> FrozenMessage {
        do throws(PostofficeError) {
            return try FrozenMessage(id, in: postoffice)
        } catch {
            throw error.kind == .notFound ? .notFrozen(id) : .spool(error)
        }
    }

    // MARK: Ways out

    /// To be routed and delivered: it is not filtered again.
    public func release(_ id: SpoolID) throws(Failure) {
        try locked { () throws(Failure) in
            let message = try message(id)
            try change(id) { () throws(PostofficeError) in try postoffice.release(id) }
            routerNotice.send(id)
            log.notice(
                "freezer-released",
                [
                    "queue-id": "\(id)", "by": actor, "from": Self.sender(message),
                    "frozen": "\(message.frozen)", "reason": message.reason,
                ])
        }
    }

    /// Removed, and nobody told.
    public func drop(_ id: SpoolID, sync: Bool = true) throws(Failure) {
        try locked { () throws(Failure) in
            let message = try message(id)
            try change(id) { () throws(PostofficeError) in try postoffice.drop(id, sync: sync) }
            log.notice(
                "freezer-dropped",
                [
                    "queue-id": "\(id)", "by": actor, "from": Self.sender(message),
                    "nrcpt": "\(message.envelope?.recipients.count ?? 0)", "frozen": "\(message.frozen)",
                    "reason": message.problem ?? message.reason,
                ])
        }
    }

    /// Its sender is told, for the recipients of which he wants to know; then it is removed. `nil`: he wants to know of none. A crash
    /// in between repeats the report.
    public func bounce(_ id: SpoolID) throws(Failure) -> Report? {
        try locked { () throws(Failure) in
            let message = try message(id)
            if let problem = message.problem { throw .noMessage(problem) }
            guard let envelope = message.envelope, let sender = envelope.sender, !envelope.isErrorMessage else {
                throw .noSender
            }
            let report = try submitReport(message, envelope, to: sender)
            if let report { routerNotice.send(report.id) }
            try change(id) { () throws(PostofficeError) in try postoffice.drop(id) }
            log.notice(
                "freezer-bounced",
                [
                    "queue-id": "\(id)", "by": actor, "to": sender,
                    "report-id": report.map { "\($0.id)" } ?? "-", "recipients": "\(report?.recipients ?? 0)",
                    "frozen": "\(message.frozen)", "reason": message.reason,
                ])
            return report
        }
    }

    /// Completes releases that died in the middle.
    public func finishReleases() throws(Failure) {
        try locked { () throws(Failure) in
            var finished: [SpoolID] = []
            do throws(PostofficeError) { finished = try postoffice.finishReleases() } catch { throw .spool(error) }
            for id in finished {
                log.notice(
                    "freezer-released",
                    ["queue-id": "\(id)", "by": actor, "completes": "a release that was interrupted"])
            }
            routerNotice.send(finished)
        }
    }

    private static func sender(_ message: FrozenMessage) -> String {
        message.envelope.map { "<\($0.sender ?? "")>" } ?? "-"
    }

    private func locked<Result>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        let lock: FreezerLock
        do throws(PostofficeError) {
            lock = try FreezerLock(postoffice, milliseconds: patience)
        } catch {
            throw error.code == EAGAIN ? .busy : .spool(error)
        }
        defer { lock.end() }
        return try body()
    }

    private func change(_ id: SpoolID, _ body: () throws(PostofficeError) -> Void) throws(Failure) {
        do throws(PostofficeError) {
            try body()
        } catch {
            throw error.kind == .notFound ? .notFrozen(id) : .spool(error)
        }
    }
}
