import Glibc
import Postoffice
import SpoolFormat

/// Everything that the judgement of one message rests on, as one look has found it.
struct MessageState: Hashable, Sendable {
    let id: SpoolID
    var router: FileMark?
    var queue: FileMark?
    var transport: FileMark?
    var deferred: FileMark?
    var frozen: FileMark?
    /// `router/X.released`.
    var staged: FileMark?
    var control = ControlState.absent

    init(id: SpoolID) { self.id = id }

    /// The order of the looks is that in which names are made and go: what stands in a later place was not in an earlier one
    /// a moment before. `readsControl`: also what is in `transport/X`.
    init(_ id: SpoolID, _ postoffice: Postoffice, readsControl: Bool) {
        self.id = id
        transport = FileMark(postoffice.path(.transport, id))
        router = FileMark(postoffice.path(.router, id))
        queue = FileMark(postoffice.path(.queue, id))
        deferred = FileMark(postoffice.path(.deferred, id))
        frozen = FileMark(postoffice.path(.freezer, id))
        staged = FileMark(postoffice.path(.router, id) + ".released")
        // Written meanwhile: then the first look says nothing.
        if transport == nil { transport = FileMark(postoffice.path(.transport, id)) }
        if transport?.isRegular ?? false { control = readsControl ? ControlState(id, postoffice) : .unread }
    }

    /// The message is gone, or has never been.
    var isNowhere: Bool {
        router == nil && queue == nil && transport == nil && deferred == nil && frozen == nil && staged == nil
    }
}

/// What `transport/X` says.
enum ControlState: Hashable, Sendable {
    case absent
    /// The scheduler knows the message, and with it the file.
    case unread
    case unreadable(String)
    case torn(String)
    case newer(String)
    case whole(ControlSummary)

    /// Octets of a control file, as the scheduler has it.
    static let maximumSize = 256 << 20

    init(_ id: SpoolID, _ postoffice: Postoffice) {
        let octets: [UInt8]
        do throws(PostofficeError) {
            octets = try postoffice.read(.transport, id, limit: Self.maximumSize)
        } catch {
            self = error.kind == .notFound ? .absent : .unreadable(error.description)
            return
        }
        do throws(ControlFileError) {
            self = .whole(ControlSummary(try ControlFile.parse(octets)))
        } catch {
            switch error {
            case .torn, .syntax: self = .torn(error.description)
            case .unsupported: self = .newer(error.description)
            }
        }
    }
}

/// What matters of a whole control file.
struct ControlSummary: Hashable, Sendable {
    let id: SpoolID
    /// Octets of the message file that was routed.
    let messageSize: Int
    let recipients: Int
    /// Recipients without a final result.
    let pending: Int
    /// Results that have not been told.
    let untold: Int
    /// Where a record says something else than the tag: the offset of the recipient, and the tag that is right.
    let wrongTags: [WrongTag]
    /// Offsets in records that are no recipient's.
    let strangeOffsets: [Int]

    struct WrongTag: Hashable, Sendable {
        let record: ResultRecord
        let tag: ControlRecipient.Tag
    }

    init(_ file: ControlFile) {
        id = file.id
        messageSize = file.messageSize
        var last: [Int: ResultRecord] = [:]
        for record in file.records where !record.isDelayNotice { last[record.offset] = record }
        var pending = 0
        var untold = 0
        var count = 0
        var wrong: [WrongTag] = []
        for recipient in file.recipients {
            count += 1
            let record = last.removeValue(forKey: recipient.offset)
            let right = record.map { Self.tag($0.notary.action) } ?? recipient.tag
            if right == .pending || right == .locked { pending += 1 }
            if let record {
                if right != .pending, !record.isReported { untold += 1 }
                if right != recipient.tag, recipient.tag != .locked {
                    wrong.append(WrongTag(record: record, tag: right))
                }
            }
        }
        recipients = count
        self.pending = pending
        self.untold = untold
        wrongTags = wrong
        strangeOffsets = last.keys.sorted()
    }

    private static func tag(_ action: Notary.Action) -> ControlRecipient.Tag {
        switch action {
        case .delivered, .relayed, .expanded: .delivered
        case .failed: .failed
        case .delayed: .pending
        }
    }
}
