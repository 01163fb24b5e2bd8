import Glibc
import Postoffice
import Scheduling
import SpoolFormat

/// What operators have moved. In each case the control file is read afterwards: what stands in it counts.
extension FileWorker {
    func move(
        _ id: SpoolID, _ offsets: [Int], channel: String, host: String
    ) throws(PostofficeError) -> FileResult {
        let file: ControlFile
        switch try control(id) {
        case .success(let found): file = found
        case .failure(let other): return other.result
        }
        guard let octets = file.moved(Set(offsets), channel: channel, host: host) else {
            return .moved(LoadedMessage(file), remark: "nothing was left to be moved")
        }
        try postoffice.replaceControl(id, octets)
        do throws(ControlFileError) {
            return .moved(LoadedMessage(try ControlFile.parse(octets)), remark: "to \(channel)/\(host)")
        } catch {
            throw PostofficeError(.system, postoffice.path(.transport, id), "cannot be read after a move: \(error)")
        }
    }

    /// The new message is durable under a name on which nobody acts, then the old one's recipients are done, then the new one is to be
    /// routed: a crash on any line neither loses nor doubles anything (``finishReroutes(_:)``).
    func routeAgain(_ id: SpoolID, _ offsets: [Int]) throws(PostofficeError) -> FileResult {
        var file: ControlFile
        switch try control(id) {
        case .success(let found): file = found
        case .failure(let other): return other.result
        }
        // What a failure has interrupted.
        for new in Self.successors(file) {
            try postoffice.syncControl(id)
            try postoffice.finishReroute(new, from: id)
            routerNotice.send(new)
        }
        let octets = try postoffice.readPrefix(.queue, id, limit: file.headerStart).octets
        let envelope: MessageEnvelope
        do throws(MessageFileError) {
            envelope = try MessageEnvelope.parse(octets).envelope
        } catch {
            return .moved(LoadedMessage(file), remark: "the message file cannot be read: \(error)")
        }
        let remaining = RemainingEnvelope(file, original: envelope, offsets: Set(offsets))
        guard !remaining.taken.isEmpty else {
            return .moved(LoadedMessage(file), remark: "nothing of it can be routed again")
        }
        let new = postoffice.newID()
        try postoffice.stageReroute(
            new, from: id, envelope: remaining.envelope.encoded(), contentStart: file.headerStart)
        do throws(PostofficeError) {
            try postoffice.append(Self.records(file, remaining.taken, new), to: id, sync: true)
        } catch {
            // If a record is there all the same, the next try completes it; a copy that none names is of no use.
            if case .success(let found)? = try? control(id), !Self.successors(found).contains(new) {
                try? postoffice.dropReroute(new, from: id)
            }
            throw error
        }
        try postoffice.finishReroute(new, from: id)
        routerNotice.send(new)
        switch try control(id) {
        case .success(let found): file = found
        case .failure(let other): return other.result
        }
        let rest = remaining.left.isEmpty ? "" : "; \(remaining.left.count) recipients cannot be named and stay"
        return .moved(LoadedMessage(file), remark: "routed again as \(new)\(rest)")
    }

    private static func records(
        _ file: ControlFile, _ offsets: [Int], _ new: SpoolID
    ) -> [(record: ResultRecord, tag: ControlRecipient.Tag?)] {
        let now = Int64(time(nil))
        return offsets.compactMap { offset in
            guard let (group, recipient) = file.recipient(at: offset) else { return nil }
            let notary = Notary(
                finalRecipient: recipient.quad.user, action: .expanded, status: "2.0.0", diagnostic: new.description,
                agent: ResultRecord.operatorAgent)
            return (
                ResultRecord(
                    offset: offset, headerOffset: group.headerOffset, notaryOffset: recipient.notaryOffset, time: now,
                    notary: notary, message: "routed again as \(new)", isReported: true), .delivered
            )
        }
    }

    /// The messages that recipients of this one have gone to.
    static func successors(_ file: ControlFile) -> [SpoolID] {
        var found: [SpoolID] = []
        for record in file.records
        where record.notary.action == .expanded && record.notary.agent == ResultRecord.operatorAgent {
            guard let id = SpoolID(record.notary.diagnostic), !found.contains(id) else { continue }
            found.append(id)
        }
        return found
    }

    /// Before anything is delivered: a reroute whose old message says that it has gone is completed, another one is undone.
    static func finishReroutes(_ postoffice: Postoffice, _ routerNotice: NoticeSender) throws(PostofficeError) {
        var problem: PostofficeError?
        for (new, old) in try postoffice.stagedReroutes() {
            // One that cannot be finished now waits for the next start, and the others do not wait for it.
            do throws(PostofficeError) { try finish(new, old, postoffice, routerNotice) } catch { problem = error }
        }
        if let problem { throw problem }
    }

    private static func finish(
        _ new: SpoolID, _ old: SpoolID, _ postoffice: Postoffice, _ routerNotice: NoticeSender
    ) throws(PostofficeError) {
        var hasGone = true
        do throws(PostofficeError) {
            let octets = try postoffice.read(.transport, old, limit: maximumControlFile)
            // A torn head says nothing of records: the message will be routed as a whole.
            hasGone = (try? ControlFile.parse(octets)).map { successors($0).contains(new) } ?? false
            // What a kill has left may not be on the disk yet.
            if hasGone { try postoffice.syncControl(old) }
        } catch  where error.kind == .notFound {
            // It was removed because all of it was done, unless it waits to be routed as a whole.
            hasGone =
                access(postoffice.path(.queue, old), F_OK) != 0
                && access(postoffice.path(.router, old), F_OK) != 0
        }
        guard hasGone else { return try postoffice.dropReroute(new, from: old) }
        try postoffice.finishReroute(new, from: old)
        routerNotice.send(new)
    }

    // MARK: Reading

    private struct Other: Error {
        let result: FileResult
    }

    private func control(_ id: SpoolID) throws(PostofficeError) -> Result<ControlFile, Other> {
        let octets: [UInt8]
        do throws(PostofficeError) {
            octets = try postoffice.read(.transport, id, limit: Self.maximumControlFile)
        } catch  where error.kind == .notFound {
            return .failure(Other(result: .absent(id)))
        }
        do throws(ControlFileError) {
            return .success(try ControlFile.parse(octets))
        } catch {
            // Somebody has changed it behind our back: what is read then decides.
            let result = try load(id, mayBeOnItsWayOut: false)
            guard case .loaded(let message) = result else { return .failure(Other(result: result)) }
            return .failure(Other(result: .moved(message, remark: "left as it was")))
        }
    }
}
