import AgentKit
import AgentProtocol
import ChildProcesses
import Glibc
import ProgramKit
import SpoolFormat

/// Delivers to mailboxes, files and programs of this host (transport-agents.md §3).
final class MailboxTransportAgent: TransportAgent {
    private let settings: MailboxSettings
    private let gate = PathGate()
    /// Milliseconds since 1970.
    private let started = SystemTime.milliseconds

    /// A message that is older than this may have been delivered by an earlier attempt and read since.
    private static let oldMessage: Int64 = 30_000

    init(_ settings: MailboxSettings) { self.settings = settings }

    func deliver(_ job: DeliveryJob) {
        for (index, recipient) in job.recipients.enumerated() {
            let result: RecipientResult
            do throws(DeliveryProblem) {
                result = try deliver(job, recipient)
            } catch {
                result = settings.options.quotaIsPermanent && error.isQuota ? permanent(error.result) : error.result
            }
            job.report(recipient, result, relay: "local")
            // A crash repeats little, and a long list is not written line by line.
            if index % 16 == 15 { job.flush() }
        }
    }

    private func permanent(_ result: RecipientResult) -> RecipientResult {
        .failed(status: "5.2.2", text: result.text, diagnostic: "x-local; 500 5.2.2 \(result.text)")
    }

    private func deliver(_ job: DeliveryJob, _ recipient: JobRecipient) throws(DeliveryProblem) -> RecipientResult {
        switch LocalTarget(recipient.recipient.quad) {
        case .user(let name, _, let domain): try deliver(job, recipient, user: name, domain: domain)
        case .file(let path): try deliver(job, recipient, file: path)
        case .program(let command): try deliver(job, recipient, command: command)
        }
    }

    // MARK: Mailboxes

    private func deliver(
        _ job: DeliveryJob, _ recipient: JobRecipient, user: String, domain: String
    ) throws(DeliveryProblem) -> RecipientResult {
        guard let account = try settings.accounts.find(user) else {
            throw .refused("5.1.1", "User does not exist: \(user)")
        }
        var path = settings.store.template.path(user: account.name, home: account.home, domain: domain)
        while path.hasSuffix("/"), path != "/" { path.removeLast() }
        var identity: ChildRequest.Identity?
        if settings.changesIdentity, let found = account.identity {
            guard found.uid >= settings.minimumUID else {
                throw .refused(
                    "5.2.1",
                    "Mail for accounts with a uid below \(settings.minimumUID) is not delivered (\(user) has \(found.uid))"
                )
            }
            identity = ChildRequest.Identity(uid: found.uid, gid: group(of: found, writing: path))
        }
        let trace = traceFields(job, recipient, uid: identity?.uid ?? getuid())
        let copy = try localCopy(job, recipient, prefix: trace)
        switch settings.store {
        case .maildir:
            let maildir = Maildir(path: path, base: settings.store.template.usesHome ? account.home : nil)
            let name = Maildir.name(of: job.id, offset: recipient.recipient.offset, host: settings.hostName)
            let mayBeThere = job.id.milliseconds < max(started, SystemTime.milliseconds - Self.oldMessage)
            var outcome = Maildir.Outcome.delivered
            try perform(as: identity) { () throws(DeliveryProblem) in
                outcome = try maildir.deliver(copy, name: name, looksInCurrent: mayBeThere)
            }
            return Self.delivered(outcome == .delivered ? "delivered to maildir" : "was delivered before, to maildir")
        case .mbox:
            var file = MailboxFile(path: path, locks: settings.locks.mailboxes)
            file.creates = settings.options.createsMailboxes
            try append(copy, to: file, as: identity, sender: job.sender(of: recipient))
            return Self.delivered("delivered to mailbox")
        }
    }

    /// A shared mail directory such as /var/mail lets its group make files and locks in it; everywhere else it is the user's own.
    /// Below a home directory its user decides where a path leads, so no group is given there.
    private func group(of account: SystemAccount, writing path: String) -> gid_t {
        guard case .mbox(let template) = settings.store, !template.usesHome, let slash = path.lastIndex(of: "/") else {
            return account.gid
        }
        var information = stat()
        guard stat(String(path[..<slash]), &information) == 0, information.st_uid == 0,
            information.st_mode & S_IWGRP != 0
        else { return account.gid }
        return information.st_gid
    }

    private func append(
        _ copy: LocalCopy, to file: MailboxFile, as identity: ChildRequest.Identity?, sender: String?
    ) throws(DeliveryProblem) {
        var file = file
        file.keepsAccessTime = settings.options.keepsAccessTime
        let separator = TraceFields.separator(sender: sender, time: SystemTime.milliseconds / 1000)
        try gate.with(file.path) { () throws(DeliveryProblem) in
            try perform(as: identity) { () throws(DeliveryProblem) in try file.append(copy, separator: separator) }
        }
    }

    // MARK: Files and programs of tables

    private func deliver(
        _ job: DeliveryJob, _ recipient: JobRecipient, file path: String
    ) throws(DeliveryProblem) -> RecipientResult {
        if path == "/dev/null" { return Self.delivered("thrown away") }
        let owner = try owner(of: recipient)
        let identity = owner.map { ChildRequest.Identity(uid: $0.uid, gid: $0.gid) }
        let copy = try localCopy(job, recipient, prefix: traceFields(job, recipient, uid: identity?.uid ?? getuid()))
        try append(
            copy, to: MailboxFile(path: path, locks: settings.locks.files), as: identity,
            sender: job.sender(of: recipient))
        return Self.delivered("delivered to file")
    }

    private func deliver(
        _ job: DeliveryJob, _ recipient: JobRecipient, command: String
    ) throws(DeliveryProblem) -> RecipientResult {
        guard !command.isEmpty else { throw .refused("5.3.5", "the address names no program") }
        let owner = try owner(of: recipient)
        let identity = owner.map { ChildRequest.Identity(uid: $0.uid, gid: $0.gid) }
        let sender = job.sender(of: recipient)
        let prefix =
            TraceFields.separator(sender: sender, time: SystemTime.milliseconds / 1000)
            + traceFields(job, recipient, uid: identity?.uid ?? getuid())
        let account = if let owner { owner } else { try account(of: getuid()) }
        let home = account?.home ?? "/"
        let delivery = CommandDelivery(
            command: CommandText(command),
            environment: CommandEnvironment(zenv: settings.zenv, account: account).variables(job, recipient),
            identity: identity, directory: isDirectory(home) ? home : "/", limits: settings.options.limits)
        return try delivery.run(try localCopy(job, recipient, prefix: prefix))
    }

    /// Whom a file or program of a table is written or run as: the owner of the table; `nil`: the agent itself.
    private func owner(of recipient: JobRecipient) throws(DeliveryProblem) -> SystemAccount? {
        let privilege = recipient.recipient.quad.privilege
        guard !Self.nobodies.contains(privilege) else {
            throw .refused("5.2.1", "files and programs need an owner; this address has none")
        }
        guard settings.changesIdentity else { return nil }
        guard let uid = uid_t(exactly: privilege), uid != 0 else {
            throw .refused("5.2.1", "files and programs of root are not used: give the table to another user")
        }
        guard let account = try account(of: uid) else {
            throw .refused("5.2.1", "no account has uid \(uid), the owner of this address")
        }
        return account
    }

    /// The uids of those who own nothing: Linux's nobody and the router's default (router.md §6).
    private static let nobodies: Set<Int> = [65534, 29999]

    private func account(of uid: uid_t) throws(DeliveryProblem) -> SystemAccount? {
        do throws(SystemAccount.Failure) { return try SystemAccount.with(uid: uid) } catch {
            throw .temporary("4.3.0", error.description)
        }
    }

    private func isDirectory(_ path: String) -> Bool {
        var information = stat()
        return stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFDIR
    }

    // MARK: Parts

    private func traceFields(_ job: DeliveryJob, _ recipient: JobRecipient, uid: uid_t) -> String {
        TraceFields(
            sender: job.sender(of: recipient), recipient: recipient, envelopeID: job.control.envelopeID, uid: uid
        ).text
    }

    private func localCopy(
        _ job: DeliveryJob, _ recipient: JobRecipient, prefix: String
    ) throws(DeliveryProblem) -> LocalCopy {
        do throws(FileError) {
            return try LocalCopy(job.content, prefix: prefix, header: job.header(of: recipient))
        } catch {
            throw .content(error)
        }
    }

    private func perform(
        as identity: ChildRequest.Identity?, _ body: () throws(DeliveryProblem) -> Void
    ) throws(DeliveryProblem) {
        guard let identity else { return try body() }
        var problem: DeliveryProblem?
        do throws(IdentityThread.Failure) {
            try IdentityThread.run(as: identity) {
                do throws(DeliveryProblem) { try body() } catch { problem = error }
            }
        } catch {
            throw .temporary("4.3.0", error.description)
        }
        if let problem { throw problem }
    }

    private static func delivered(_ text: String) -> RecipientResult {
        RecipientResult(
            .ok, .delivered, status: "2.2.0", text: text, diagnostic: "x-local; 250 2.2.0 (Delivered successfully)")
    }
}

/// The wall clock.
enum SystemTime {
    /// Since 1970.
    static var milliseconds: Int64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
    }
}
