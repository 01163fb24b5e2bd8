import AgentKit
import AgentProtocol
import ChildProcesses
import Glibc
import MailModel
import ProgramKit
import SpoolFormat

/// Delivery by a user's `.forward` (forward(5)).
extension LocalDelivery {
    /// Programs of one `.forward`: each may take its time.
    private static let maximumCommands = 10
    /// `Delivered-To` fields of one message.
    private static let maximumMarks = 20
    /// Octets of the header section that are searched for them.
    private static let maximumHeader = 1 << 20

    /// `nil`: the user has no `.forward`, or none is read here. `body`: what is done under his identity if he has none, so that one
    /// thread does both.
    func forward(_ user: User, otherwise body: Work?) throws(DeliveryProblem) -> RecipientResult? {
        guard settings.forwarding != .off, let account = user.account.identity,
            // Its programs would run as ourselves.
            user.identity != nil || account.uid == geteuid()
        else { return nil }
        var found: ForwardFile?
        var result: RecipientResult?
        try gate.files(of: user.account.name, as: user.identity) { (passage) throws(DeliveryProblem) in
            found = try ForwardFile.read(home: account.home, detail: user.detail, uid: account.uid, passage)
            if found == nil, let body { result = try body(passage) }
        }
        guard let found else { return result }
        let plan = ForwardPlan(
            found.targets, user: account.name, recipient: recipient.recipient.envelopeRecipient.flatMap { Mailbox($0) },
            hostName: settings.hostName)
        let ownDetail = plan.ownDetail ?? user.detail
        guard plan.commands.count <= Self.maximumCommands else {
            throw .temporary("4.3.5", "\(found.path): more than \(Self.maximumCommands) programs")
        }
        if plan.isOwnOnly { return try toMailbox(user, detail: ownDetail) }
        let mark = "\(account.name)@\(settings.hostName)"
        if try isComingBack(mark) {
            // What he wanted for others they have by now.
            if plan.keepsOwn { return try toMailbox(user, detail: ownDetail) }
            throw .refused("5.4.6", "mail forwarding loop for \(recipient.recipient.envelopeRecipient ?? account.name)")
        }
        return try run(plan, user, account, mark, ownDetail)
    }

    /// Whether the message has been through this user's `.forward`, or through too many.
    private func isComingBack(_ mark: String) throws(DeliveryProblem) -> Bool {
        let header: [UInt8]
        if let replaced = job.header(of: recipient) {
            header = replaced
        } else {
            do throws(FileError) {
                header = try job.content.octets(in: 0..<min(job.content.headerCount, Self.maximumHeader))
            } catch {
                throw .content(error)
            }
        }
        let section = HeaderSection(header)
        var count = 0
        for field in section.fields where asciiLowercased(field.name) == "delivered-to" {
            count += 1
            if asciiLowercased(section.value(field)) == asciiLowercased(mark) { return true }
        }
        guard count < Self.maximumMarks else {
            throw .refused("5.4.6", "the message was forwarded \(count) times, more than \(Self.maximumMarks) allowed")
        }
        return false
    }

    /// Each target once: what is done stays done while others are tried again.
    private func run(
        _ plan: ForwardPlan, _ user: User, _ account: SystemAccount, _ mark: String, _ ownDetail: String?
    ) throws(DeliveryProblem) -> RecipientResult {
        var outcome = ForwardOutcome(self, plan)
        for command in plan.commands {
            outcome.take("|\(command)") { () throws(DeliveryProblem) in
                guard settings.forwarding == .on else {
                    throw .refused("5.2.1", "programs are not run from .forward here")
                }
                return try toProgram(command, as: user.identity, account: account, mark: mark)
            }
        }
        for file in plan.files {
            outcome.take(file) { () throws(DeliveryProblem) in
                if file == "/dev/null" { return Self.delivered("thrown away") }
                guard settings.forwarding == .on else {
                    throw .refused("5.2.1", "files are not written from .forward here")
                }
                return try toFile(file, of: account.name, as: user.identity)
            }
        }
        if plan.keepsOwn {
            outcome.take("mailbox") { () throws(DeliveryProblem) in try toMailbox(user, detail: ownDetail) }
        }
        if !plan.addresses.isEmpty {
            outcome.take("addresses") { () throws(DeliveryProblem) in try resubmit(plan, account.name, mark) }
        }
        return outcome.finish()
    }

    private func resubmit(
        _ plan: ForwardPlan, _ user: String, _ mark: String
    ) throws(DeliveryProblem) -> RecipientResult {
        guard let resubmitter else {
            throw .temporary("4.3.5", "mail cannot be forwarded: POSTOFFICE is not the agent's")
        }
        // RFC 3461 §5.2.7.2 for one address: its request goes along and nothing is reported here. §5.2.7.3 for several, and where
        // a copy stays: the success is reported here and asked of nobody else.
        let isAlone = plan.parts == 1 && plan.addresses.count == 1
        let notify = recipient.recipient.notify
        let id = try resubmitter.submit(
            job, recipient, to: plan.addresses, user: user, mark: mark,
            notify: isAlone ? notify : notify.subtracting(.success))
        var result = RecipientResult(
            .ok, isAlone ? .relayed : .expanded, status: "2.2.0",
            text: "forwarded by the user's .forward, as \(id)",
            diagnostic: "x-local; 250 2.2.0 (forwarded)")
        result.isReportedElsewhere = isAlone
        return result
    }
}

/// Results of the targets of one `.forward`, made into one.
private struct ForwardOutcome {
    private let delivery: LocalDelivery
    private var progress: ForwardProgress?
    private var deferred: DeliveryProblem?
    private var failed: RecipientResult?
    private var succeeded: [RecipientResult] = []

    /// Progress is kept where there is more than one target.
    init(_ delivery: LocalDelivery, _ plan: ForwardPlan) {
        self.delivery = delivery
        guard plan.parts > 1, let resubmitter = delivery.resubmitter else { return }
        var progress = ForwardProgress(
            root: resubmitter.root, id: delivery.job.id, offset: delivery.recipient.recipient.offset)
        progress.read()
        self.progress = progress
    }

    mutating func take(_ part: String, _ body: () throws(DeliveryProblem) -> RecipientResult) {
        switch progress?.result(of: part) {
        case .succeeded?:
            let action: Notary.Action = part == "addresses" ? .expanded : .delivered
            succeeded.append(RecipientResult(.ok, action, status: "2.2.0", text: "done by an earlier attempt"))
            return
        case .failed(let status, let text)?: return note(DeliveryProblem.refused(status, text).result, part)
        case nil: break
        }
        do throws(DeliveryProblem) { note(try body(), part) } catch {
            note(delivery.settings.final(error), part)
        }
    }

    private mutating func note(_ result: RecipientResult, _ part: String) {
        switch result.result {
        case .ok:
            succeeded.append(result)
            progress?.note(part, .succeeded)
            // Files and mailboxes know a repeated delivery themselves. A program does what it does again.
            if part.hasPrefix("|") { store { $0.write() } }
        case .failed:
            failed = failed ?? result
            progress?.note(part, .failed(status: result.status, text: result.text))
        case .deferred, .deferredAll, .deferredBack, .retry: deferred = deferred ?? DeliveryProblem(result)
        }
    }

    /// The first trouble that is left; a target that has failed for good is told of when no other has to be tried again.
    mutating func finish() -> RecipientResult {
        if let deferred {
            store { $0.write() }
            return deferred.result
        }
        store { $0.remove() }
        if let failed { return failed }
        return succeeded.first { $0.action == .expanded } ?? succeeded.first { $0.action == .relayed }
            ?? succeeded.first ?? LocalDelivery.delivered("nothing to do")
    }

    private mutating func store(_ body: (inout ForwardProgress) -> Void) {
        guard var progress, let resubmitter = delivery.resubmitter else { return }
        do throws(DeliveryProblem) {
            try resubmitter.asOwner { () throws(DeliveryProblem) in body(&progress) }
            self.progress = progress
        } catch {
            // Only a second copy may come of it.
        }
    }
}
