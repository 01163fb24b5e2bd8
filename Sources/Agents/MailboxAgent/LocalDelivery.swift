import AgentKit
import AgentProtocol
import ChildProcesses
import Glibc
import MailModel
import ProgramKit
import SpoolFormat

/// The delivery to one recipient of a job.
struct LocalDelivery {
    let settings: MailboxSettings
    let gate: DeliveryGate
    /// When the agent was, milliseconds since 1970.
    let started: Int64
    let resubmitter: Resubmitter?
    let job: DeliveryJob
    let recipient: JobRecipient

    /// A message that is older than this may have been delivered by an earlier attempt and read since.
    private static let oldMessage: Int64 = 30_000

    func run() throws(DeliveryProblem) -> RecipientResult {
        switch LocalTarget(recipient.recipient.quad) {
        case .user(let name, let detail, let domain):
            let user = try user(name, detail: detail, domain: domain)
            if let result = try forward(user, otherwise: maildirDelivery(user, detail: detail)) { return result }
            return try toMailbox(user, detail: detail)
        case .file(let path):
            if path == "/dev/null" { return Self.delivered("thrown away") }
            let owner = try owner()
            return try toFile(
                path, of: owner?.name ?? "", as: owner.map { ChildRequest.Identity(uid: $0.uid, gid: $0.gid) })
        case .program(let command):
            guard let owner = try owner() else {
                return try toProgram(command, as: nil, account: try Self.account(of: getuid()))
            }
            return try toProgram(
                command, as: ChildRequest.Identity(uid: owner.uid, gid: owner.gid), account: owner)
        }
    }

    // MARK: Mailboxes

    /// A user with a mailbox here, and how he was addressed.
    struct User {
        let account: Account
        let detail: String?
        let domain: String
        /// His uid and gid, if the agent takes them.
        let identity: ChildRequest.Identity?
    }

    private func user(_ name: String, detail: String?, domain: String) throws(DeliveryProblem) -> User {
        guard let account = try settings.accounts.find(name) else {
            throw .refused("5.1.1", "User does not exist: \(name)")
        }
        var identity: ChildRequest.Identity?
        if settings.changesIdentity, let found = account.identity {
            guard found.uid >= settings.minimumUID else {
                throw .refused(
                    "5.2.1",
                    "Mail for accounts with a uid below \(settings.minimumUID) is not delivered (\(name) has \(found.uid))"
                )
            }
            identity = ChildRequest.Identity(uid: found.uid, gid: found.gid)
        }
        return User(
            account: account, detail: detail, domain: domain.isEmpty ? envelopeDomain(of: name) : domain,
            identity: identity)
    }

    /// The domain in which the user was addressed; of an alias it says nothing.
    private func envelopeDomain(of name: String) -> String {
        guard let mailbox = recipient.recipient.envelopeRecipient.flatMap({ Mailbox($0) }),
            asciiLowercased(mailbox.localPart.text.prefix { $0 != "+" }) == asciiLowercased(name)
        else { return asciiLowercased(settings.hostName) }
        return mailbox.domain.key
    }

    func toMailbox(_ user: User, detail: String?) throws(DeliveryProblem) -> RecipientResult {
        if let delivery = try maildirDelivery(user, detail: detail) {
            var result: RecipientResult?
            try gate.files(of: user.account.name, as: user.identity) { (passage) throws(DeliveryProblem) in
                result = try delivery(passage)
            }
            if let result { return result }
        }
        let path = path(of: user, detail: detail)
        let identity = user.identity.map { ChildRequest.Identity(uid: $0.uid, gid: group($0.gid, writing: path)) }
        var file = MailboxFile(path: path, locks: settings.locks.mailboxes)
        file.creates = settings.options.createsMailboxes
        file.owner = identity?.uid
        let copy = try localCopy(prefix: traceFields(uid: identity?.uid ?? getuid()))
        switch try append(copy, to: file, of: user.account.name, as: identity) {
        case .delivered(let offset):
            if settings.options.biffs {
                Biff.tell(user: user.account.name, offset: offset, port: settings.biffPort)
            }
            return Self.delivered("delivered to mailbox")
        case .wasThere: return Self.delivered("was delivered before, to mailbox")
        }
    }

    typealias Work = (Passage) throws(DeliveryProblem) -> RecipientResult

    /// What is to be done under the user's identity; `nil`: mailboxes are files.
    private func maildirDelivery(_ user: User, detail: String?) throws(DeliveryProblem) -> Work? {
        guard case .maildir(let template) = settings.store else { return nil }
        let path = path(of: user, detail: detail)
        let copy = try localCopy(prefix: traceFields(uid: user.identity?.uid ?? getuid()))
        let name = Maildir.name(of: job.id, offset: recipient.recipient.offset, host: settings.hostName)
        let mayBeThere = job.id.milliseconds < max(started, SystemTime.milliseconds - Self.oldMessage)
        return { (passage) throws(DeliveryProblem) in
            let folder = settings.usesFolders ? MaildirFolder.path(in: path, detail: detail, passage) : path
            let maildir = Maildir(
                path: folder, base: template.usesHome ? user.account.home : nil,
                size: MaildirSize(maildir: path, quota: settings.quota), owner: user.identity?.uid, passage: passage)
            let outcome = try maildir.deliver(copy, name: name, looksInCurrent: mayBeThere)
            return Self.delivered(outcome == .delivered ? "delivered to maildir" : "was delivered before, to maildir")
        }
    }

    private func path(of user: User, detail: String?) -> String {
        let account = user.account
        let local = detail.map { "\(account.name)+\($0)" } ?? account.name
        var path = settings.store.template.path(
            PathTemplate.Values(
                user: account.name, home: account.home, domain: user.domain, address: "\(local)@\(user.domain)",
                fullName: account.identity?.fullName ?? ""))
        while path.hasSuffix("/"), path != "/" { path.removeLast() }
        return path
    }

    /// A shared mail directory such as /var/mail lets its group make files and locks in it; everywhere else it is the user's own.
    /// Below a home directory its user decides where a path leads, so no group is given there.
    private func group(_ own: gid_t, writing path: String) -> gid_t {
        guard case .mbox(let template) = settings.store, !template.usesHome, let slash = path.lastIndex(of: "/") else {
            return own
        }
        var information = stat()
        guard stat(String(path[..<slash]), &information) == 0, information.st_uid == 0,
            information.st_mode & S_IWGRP != 0
        else { return own }
        return information.st_gid
    }

    private func append(
        _ copy: LocalCopy, to file: MailboxFile, of account: String, as identity: ChildRequest.Identity?
    ) throws(DeliveryProblem) -> MailboxFile.Outcome {
        var file = file
        var outcome = MailboxFile.Outcome.wasThere
        file.format = settings.options.format
        file.keepsAccessTime = settings.options.keepsAccessTime
        let separator = TraceFields.separator(
            sender: job.sender(of: recipient), time: SystemTime.milliseconds / 1000)
        try gate.files(of: account, as: identity, path: file.path) { [file] (passage) throws(DeliveryProblem) in
            var file = file
            file.passage = passage
            outcome = try file.append(
                copy, separator: separator, identity: "\(job.id).\(recipient.recipient.offset)")
        }
        return outcome
    }

    // MARK: Files and programs

    /// `account`: whose identity that is; `nil`: as the agent itself.
    func toFile(
        _ path: String, of account: String, as identity: ChildRequest.Identity?
    ) throws(DeliveryProblem) -> RecipientResult {
        let copy = try localCopy(prefix: traceFields(uid: identity?.uid ?? getuid()))
        let file = MailboxFile(path: path, locks: settings.locks.files)
        let outcome = try append(copy, to: file, of: account, as: identity)
        return Self.delivered(outcome == .wasThere ? "was delivered before, to file" : "delivered to file")
    }

    /// `account`: whose home and name it learns. `mark`: of the user whose `.forward` names it, by which his mail is known again.
    func toProgram(
        _ command: String, as identity: ChildRequest.Identity?, account: SystemAccount?, mark: String? = nil
    ) throws(DeliveryProblem) -> RecipientResult {
        guard !command.isEmpty else { throw .refused("5.3.5", "the address names no program") }
        var prefix = TraceFields.separator(
            sender: job.sender(of: recipient), time: SystemTime.milliseconds / 1000)
        prefix += traceFields(uid: identity?.uid ?? getuid())
        if let mark, mark != recipient.recipient.envelopeRecipient {
            prefix += "Delivered-To: \(TraceFields.clean(mark))\n"
        }
        let home = account?.home ?? "/"
        let delivery = CommandDelivery(
            command: CommandText(command),
            environment: CommandEnvironment(zenv: settings.zenv, account: account).variables(job, recipient),
            identity: identity, directory: home.hasPrefix("/") ? home : "/", limits: settings.options.limits)
        // A home that does not answer would hold the start of the program up, and its starter.
        let name = account?.name ?? ""
        try gate.files(of: name, as: identity) { (_) in _ = access(delivery.directory, X_OK) }
        let copy = try localCopy(prefix: prefix)
        return try gate.program(of: name, as: identity) { () throws(DeliveryProblem) in try delivery.run(copy) }
    }

    /// Whom a file or program of a table is written or run as: the owner of the table; `nil`: the agent itself.
    private func owner() throws(DeliveryProblem) -> SystemAccount? {
        let privilege = recipient.recipient.quad.privilege
        guard !Self.nobodies.contains(privilege) else {
            throw .refused("5.2.1", "files and programs need an owner; this address has none")
        }
        guard settings.changesIdentity else { return nil }
        guard let uid = uid_t(exactly: privilege), uid != 0 else {
            throw .refused("5.2.1", "files and programs of root are not used: give the table to another user")
        }
        guard let account = try Self.account(of: uid) else {
            throw .refused("5.2.1", "no account has uid \(uid), the owner of this address")
        }
        return account
    }

    /// The uids of those who own nothing: Linux's nobody and the router's default (router.md §6).
    private static let nobodies: Set<Int> = [65534, 29999]

    private static func account(of uid: uid_t) throws(DeliveryProblem) -> SystemAccount? {
        do throws(SystemAccount.Failure) { return try SystemAccount.with(uid: uid) } catch {
            throw .temporary("4.3.0", error.description)
        }
    }

    // MARK: Parts

    private func traceFields(uid: uid_t) -> String {
        TraceFields(
            sender: job.sender(of: recipient), recipient: recipient, envelopeID: job.control.envelopeID, uid: uid,
            uniqueID: settings.options.writesUniqueID ? "\(job.id).\(recipient.recipient.offset)" : nil
        ).text
    }

    private func localCopy(prefix: String) throws(DeliveryProblem) -> LocalCopy {
        do throws(FileError) {
            return try LocalCopy(
                job.content, prefix: prefix, header: job.header(of: recipient),
                for: ReceivedClause.isWanted(settings.zenv) ? (recipient, job.id) : nil,
                decodes: settings.options.decodes)
        } catch {
            throw .content(error)
        }
    }

    static func delivered(_ text: String) -> RecipientResult {
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
