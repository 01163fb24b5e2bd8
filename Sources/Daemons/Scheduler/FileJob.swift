import Postoffice
import Scheduling
import SpoolFormat

/// Work on spool files, which the loop never does itself. Jobs of one message are done in the order in which they were given.
enum FileJob: Sendable {
    /// Read `transport/X`. `isUrgent`: somebody waits for just this one.
    case load(SpoolID, isUrgent: Bool)
    /// Read it again, for an agent that found nothing to deliver. Its removal has not begun.
    case reread(SpoolID)
    case append(SpoolID, vertex: Int, ResultRecord, ControlRecipient.Tag?)
    /// Make what has been appended durable.
    case sync(SpoolID)
    /// Tell the sender of what has not been reported.
    case report(SpoolID)
    /// `isUnsynced`: records have been appended since the last sync.
    case finish(SpoolID, SchedulerAction.Ending, isUnsynced: Bool)
    /// Other destinations for these recipients, by offset.
    case move(SpoolID, offsets: [Int], channel: String, host: String)
    /// These recipients as a message of their own, to be routed.
    case reroute(SpoolID, offsets: [Int])
    /// Try again what has failed before.
    case resume(SpoolID)

    var id: SpoolID {
        switch self {
        case .load(let id, _), .reread(let id), .append(let id, _, _, _), .sync(let id), .report(let id),
            .finish(let id, _, _), .move(let id, _, _, _), .reroute(let id, _), .resume(let id):
            id
        }
    }

    /// Read for the first time and wanted at once: nothing else of its message is under way, so it need not wait behind other work.
    var isQuick: Bool {
        switch self {
        case .load(_, let isUrgent): isUrgent
        case .reread, .append, .sync, .report, .finish, .move, .reroute, .resume: false
        }
    }
}

enum FileResult: Sendable {
    case loaded(LoadedMessage)
    /// There is no such control file, and nothing to be done about it.
    case absent(SpoolID)
    /// The control file was torn; the router has the message again.
    case rerouted(SpoolID, reason: String)
    /// Moved to `postman/`, or left where it is: not ours to deliver.
    case setAside(SpoolID, reason: String)
    /// What was left of a message whose removal had begun.
    case cleared(SpoolID)
    case recorded(SpoolID, vertex: Int)
    case synced
    /// What its control file says now; `remark`: what was done.
    case moved(LoadedMessage, remark: String)
    /// With what went wrong.
    case suspensionsStored(String?)
    case operationsSynced(String?)
    case reported(SpoolID, reports: [SentReport])
    case finished(SpoolID, reports: [SentReport])
    /// Disk full and the like: it must be tried again, behind nothing else of this message.
    case failed(FileJob, reason: String)
    /// The names in `transport/`, oldest first.
    case listing([SpoolID])
    /// Found beside them.
    case etrns([ETRNFiles.Request])
    case listingFailed(String)
}

extension FileResult {
    /// Nothing waits for it: it need not wake the loop.
    var isQuiet: Bool {
        switch self {
        case .finished(_, let reports): reports.isEmpty
        case .synced: true
        case .loaded, .absent, .rerouted, .setAside, .cleared, .recorded, .reported, .failed, .listing, .etrns,
            .listingFailed, .moved, .suspensionsStored, .operationsSynced:
            false
        }
    }
}

/// A notification that has been submitted; without recipients: none was needed.
struct SentReport: Sendable {
    var id: SpoolID
    var to: String
    /// Recipients that it tells of.
    var recipients: Int
    /// Records that are told with it.
    var records: Int
}
