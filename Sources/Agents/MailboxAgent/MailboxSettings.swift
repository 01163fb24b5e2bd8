import AgentKit
import ChildProcesses
import Configuration
import Glibc
import ProgramKit

/// All that decides how the agent delivers, from zmailer.conf and the command line.
struct MailboxSettings: Sendable {
    enum Store: Hashable, Sendable {
        case maildir(PathTemplate)
        case mbox(PathTemplate)
    }

    /// What is done for a user's `.forward` (`FORWARD`).
    enum Forwarding: String, Hashable, Sendable {
        case on
        case off
        /// Addresses and the own mailbox; files and programs are refused.
        case addresses
    }

    var accounts: Accounts
    let store: Store
    let forwarding: Forwarding
    /// Whether a detail names a folder of a Maildir (`MAILDIRFOLDERS`).
    let usesFolders: Bool
    /// Of every Maildir (`MAILDIRQUOTA`); `nil`: what each says itself.
    let quota: MaildirQuota?
    var biffPort = Biff.standardPort
    let locks: LockKeys
    /// Accounts below are not delivered to when working as root (`MINUID`).
    let minimumUID: uid_t
    let hostName: String
    let zenv: ZEnvironment
    let options: MailboxOptions
    /// Whether each delivery takes the identity of its account.
    let changesIdentity: Bool

    /// Throws all that is wrong at once, a line each.
    init(_ zenv: ZEnvironment, _ options: MailboxOptions, hostName: String, isRoot: Bool) throws(SettingsErrors) {
        var problems: [String] = []
        func read<Value>(_ key: String, _ fallback: Value, _ body: () throws(SettingsError) -> Value) -> Value {
            do throws(SettingsError) { return try body() } catch {
                problems.append("\(key)=\(error)")
                return fallback
            }
        }
        let accountFile = (zenv["ACCOUNTS"] ?? "passwd").rest(behind: "file:")
        switch zenv["ACCOUNTS"] ?? "passwd" {
        case "passwd", "system": accounts = .system
        case let value:
            if let path = accountFile, path.hasPrefix("/") {
                accounts = .file(AccountFile(path))
            } else {
                accounts = .system
                problems.append("ACCOUNTS='\(value)': valid are passwd and file:/absolute/path")
            }
        }
        let fromFile = accountFile != nil
        let place = options.store ?? zenv["MAILBOX"] ?? "maildir:%h/Maildir"
        store = read("MAILBOX", .maildir(.anywhere)) { () throws(SettingsError) in
            let store = try Self.store(place, options.hashing)
            let template = store.template
            guard template.dependsOnUser else {
                throw SettingsError("'\(place)': without %u or %h all users would share it")
            }
            guard !fromFile || !template.usesHome else {
                throw SettingsError("'\(place)': accounts of a file have no home directory; use %u")
            }
            return store
        }
        locks = read("MBOXLOCKS", .standard) { () throws(SettingsError) in
            guard let text = zenv["MBOXLOCKS"], !text.isEmpty else { return .standard }
            return try LockKeys(text)
        }
        minimumUID = read("MINUID", 100) { () throws(SettingsError) in
            guard let text = zenv["MINUID"], !text.isEmpty else { return 100 }
            guard let number = uid_t(text) else { throw SettingsError("'\(text)': valid is a number from 0") }
            return number
        }
        forwarding = read("FORWARD", .on) { () throws(SettingsError) in
            guard let text = zenv["FORWARD"], !text.isEmpty else { return .on }
            guard let value = Forwarding(rawValue: text) else {
                throw SettingsError("'\(text)': valid are on, off and addresses")
            }
            return value
        }
        usesFolders = read("MAILDIRFOLDERS", false) { () throws(SettingsError) in
            switch zenv["MAILDIRFOLDERS"] ?? "" {
            case "yes": return true
            case "no", "": return false
            case let text: throw SettingsError("'\(text)': valid are yes and no")
            }
        }
        quota = read("MAILDIRQUOTA", nil) { () throws(SettingsError) in
            guard let text = zenv["MAILDIRQUOTA"], !text.isEmpty else { return nil }
            guard let quota = MaildirQuota(text) else {
                throw SettingsError("'\(text)': valid are octets with S and messages with C, as in 1000000000S,100000C")
            }
            return quota
        }
        self.hostName = hostName
        self.zenv = zenv
        self.options = options
        changesIdentity = isRoot && !fromFile
        guard problems.isEmpty else { throw SettingsErrors(problems) }
    }

    /// A full mailbox is a permanent failure if the operator says so (`-F`).
    func final(_ problem: DeliveryProblem) -> RecipientResult {
        guard options.quotaIsPermanent, problem.isQuota else { return problem.result }
        let text = problem.result.text
        return .failed(status: "5.2.2", text: text, diagnostic: "x-local; 500 5.2.2 \(text)")
    }

    private static func store(_ text: String, _ hashing: DirectoryHashing) throws(SettingsError) -> Store {
        func template(_ path: String) throws(SettingsError) -> PathTemplate {
            var template = try PathTemplate(path)
            template.hashing = hashing
            return template
        }
        if let path = text.rest(behind: "maildir:") { return .maildir(try template(path)) }
        if let path = text.rest(behind: "mbox:") { return .mbox(try template(path)) }
        throw SettingsError("'\(text)': valid are maildir:PATH and mbox:PATH")
    }
}

extension MailboxSettings.Store {
    var template: PathTemplate {
        switch self {
        case .maildir(let template), .mbox(let template): template
        }
    }
}

/// What is wrong, a line each.
struct SettingsErrors: Error, Hashable, CustomStringConvertible {
    let problems: [String]
    init(_ problems: [String]) { self.problems = problems }
    var description: String { problems.joined(separator: "\n") }
}

extension String {
    /// What follows `prefix`, if it begins with it.
    func rest(behind prefix: String) -> String? {
        hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil
    }
}
