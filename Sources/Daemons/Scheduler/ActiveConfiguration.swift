import AgentProtocol
import Configuration
import Glibc
import ProgramKit
import Scheduling

/// scheduler.conf in the form that the loop uses.
struct ActiveConfiguration {
    let configuration: SchedulerConfiguration
    /// `-p`.
    let onlyThread: SchedulerPattern?
    /// Of `PARAMauthfile`; none where nothing is opened.
    let accounts: MailqAccounts

    /// Reads the file; every agent that a clause names must be there.
    static func read(
        _ path: String, environment: ZEnvironment, onlyThread: SchedulerPattern?
    ) throws(ConfigurationErrors) -> ActiveConfiguration {
        let octets: [UInt8]
        do throws(FileOctets.Failure) {
            octets = try FileOctets.read(path, limit: 1 << 20)
        } catch {
            throw ConfigurationErrors([ConfigurationError(file: path, line: 0, key: "", reason: error.description)])
        }
        let configuration = try SchedulerConfiguration.parse(
            String(decoding: octets, as: UTF8.self), file: path, environment: environment)
        var errors: [ConfigurationError] = []
        for clause in configuration.clauses {
            func fail(_ key: String, _ reason: String) {
                errors.append(ConfigurationError(file: path, line: clause.line, key: key, reason: reason))
            }
            if let command = clause.command, access(programPath(command.program, environment), X_OK) != 0 {
                fail("command", "\(programPath(command.program, environment)): \(String(cString: strerror(errno)))")
            }
            if let user = clause.user, Identity.user(user) == nil { fail("user", "there is no user '\(user)'") }
            if let group = clause.group, Identity.group(group) == nil { fail("group", "there is no group '\(group)'") }
        }
        var accounts = MailqAccounts.none
        if let path = configuration.parameters.authFile, configuration.parameters.mailqSocket != nil {
            do throws(ConfigurationErrors) {
                accounts = try MailqAccounts.read(path)
            } catch {
                errors += error.errors
            }
        }
        guard errors.isEmpty else { throw ConfigurationErrors(errors) }
        return ActiveConfiguration(configuration: configuration, onlyThread: onlyThread, accounts: accounts)
    }

    static func programPath(_ program: String, _ environment: ZEnvironment) -> String {
        "\(environment.mailbin)/ta/\(program)"
    }

    var reportInterval: Int64 { configuration.parameters.reportInterval.components.seconds }

    func settings(channel: String, host: String) -> SchedulerSettings? {
        configuration.settings(channel: channel, host: host)
    }

    func rules(channel: String, host: String) -> ThreadRules? {
        guard let settings = settings(channel: channel, host: host) else { return nil }
        let isLeftOut = !(onlyThread?.matches(channel: channel, host: host) ?? true)
        return ThreadRules(
            ring: settings.clause, interval: max(1, settings.interval.components.seconds), retries: settings.retries,
            skew: Int64(settings.skew), expiry: settings.expiry.components.seconds,
            expiry2: settings.expiry2.components.seconds, maximumJobs: settings.maximumJobs,
            maximumChannelJobs: settings.maximumChannelJobs, maximumRingJobs: settings.maximumRingJobs,
            maximumThreadJobs: settings.maximumThreadJobs, overfeed: settings.overfeed,
            idleLimit: max(1, settings.idleLimit.components.seconds),
            isQueueOnly: settings.isQueueOnly || isLeftOut, wakesOnRestartOnly: settings.wakesOnRestartOnly,
            isAgeOrdered: settings.isAgeOrdered, isAgentPerHost: settings.isAgentPerHost, variant: settings.variant,
            maximumHostJobs: settings.maximumHostJobs,
            rate: settings.rate == .unlimited ? .max : settings.rate.count,
            rateInterval: settings.rate.interval.components.seconds,
            messagesPerConnection: settings.messagesPerConnection,
            reportTimes: settings.reportTimes.map { $0.components.seconds })
    }
}

/// Who owns POSTOFFICE: everything in it belongs to him, whoever we are.
struct SpoolOwner: Sendable {
    let uid: uid_t
    let gid: gid_t

    init(of path: String) {
        var information = stat()
        if stat(path, &information) == 0 {
            (uid, gid) = (information.st_uid, information.st_gid)
        } else {
            (uid, gid) = (geteuid(), getegid())
        }
    }

    /// Gives him a socket that we have made.
    func own(_ path: String) {
        if geteuid() == 0, uid != 0 { _ = lchown(path, uid, gid) }
    }
}

/// Accounts by name or number.
enum Identity {
    static func user(_ name: String) -> (uid: uid_t, gid: gid_t)? {
        if let number = uid_t(name) { return (number, getpwuid(number)?.pointee.pw_gid ?? gid_t(number)) }
        guard let entry = getpwnam(name) else { return nil }
        return (entry.pointee.pw_uid, entry.pointee.pw_gid)
    }

    static func group(_ name: String) -> gid_t? {
        if let number = gid_t(name) { return number }
        return getgrnam(name)?.pointee.gr_gid
    }
}
