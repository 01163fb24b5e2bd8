import AgentProtocol
import Configuration
import Glibc
import Scheduling
import SpoolFormat

/// The lists of mailq's version 2 as ZMailer writes them (scheduler.md §5): fields, widths and order are read by other programs.
struct MailqReports {
    let scheduler: DeliveryScheduler
    /// Seconds since 1970.
    let started: UnixTime
    /// `nil`: it has no process yet.
    let pid: (_ agent: Int) -> pid_t?
    /// The pattern of a clause.
    let clauseName: (_ ring: Int) -> String
    let counters: () -> MailqCounters

    /// Lines in pieces; `nil` at the end.
    func answer(_ report: MailqServerSession.Report) -> QueueSocket.Answer {
        switch report {
        case .snmp: return once { summary(uptime: "\(uptime) sec") }
        case .counters: return once(counterLines)
        case .queue: return groups(withThreads: false)
        case .threads: return groups(withThreads: true)
        case .threadFields:
            var threads = scheduler.threadDescriptions[...]
            return { threads.popFirst().map { "\($0.channel)\t\($0.host)\t\(fields($0, separator: "\t"))\n" } }
        case .thread(let channel, let host): return thread(channel, host)
        }
    }

    private func once(_ make: @escaping () -> String) -> QueueSocket.Answer {
        var isDone = false
        return {
            defer { isDone = true }
            return isDone ? nil : make()
        }
    }

    private var uptime: Int64 { max(0, scheduler.now - started) }

    // MARK: Groups

    private func groups(withThreads: Bool) -> QueueSocket.Answer {
        var rings = scheduler.ringDescriptions[...]
        // Looking at every message is for those who want to see threads.
        let threads = withThreads ? scheduler.threadDescriptions : []
        var byRing = Dictionary(grouping: threads) { $0.ring }
        var waiting = (byRing.removeValue(forKey: nil) ?? [])[...]
        var ring: RingDescription?
        var rest: ArraySlice<ThreadDescription> = []
        var isUnmatchedNamed = false
        var isSummed = false
        return {
            if let thread = rest.popFirst() { return line(thread) }
            if let done = ring {
                ring = nil
                return tail(done)
            }
            if let next = rings.popFirst() {
                ring = next
                rest = (byRing[next.ring] ?? [])[...]
                return "\(name(next))\n"
            }
            // Mail that no clause serves has no group of ZMailer's.
            if !waiting.isEmpty, !isUnmatchedNamed {
                isUnmatchedNamed = true
                return "-/-/0\n"
            }
            if let thread = waiting.popFirst() { return line(thread) }
            guard !isSummed else { return nil }
            isSummed = true
            return summary(uptime: SchedulerTime.text(uptime))
        }
    }

    private func name(_ ring: RingDescription) -> String {
        let pattern = clauseName(ring.ring).prefix { $0 != " " }
        return "\(pattern)\(pattern.contains("/") ? "" : "/*")/\(ring.rules.isAgentPerHost ? 1 : 0)"
    }

    private func tail(_ ring: RingDescription) -> String {
        let rules = ring.rules
        return "\tThreads: \(right(ring.threads, 4)) Msgs: \(right(ring.jobs, 5)) Procs: \(right(ring.agents, 3))"
            + " Idle: \(right(ring.idle, 3)) Plim: \(right(limit(rules.maximumRingJobs), 3))"
            + " Flim: \(right(rules.overfeed, 3)) Tlim: \(limit(rules.maximumThreadJobs))\n"
    }

    /// What ZMailer has for no limit.
    private func limit(_ number: Int) -> Int { min(number, 10000) }

    private func line(_ thread: ThreadDescription) -> String {
        let name = "    \(thread.channel)/\(thread.host)/\(thread.isAgentPerHost ? 1 : 0)"
        // Aligned with TABs by the same count.
        let width = name.utf8.count + 7
        let tabs = [15, 23, 31, 39].count { width < $0 }
        let gap = width < 39 ? String(repeating: "\t", count: tabs) : " "
        return "\(name)\(gap)\(fields(thread, separator: " "))\n"
    }

    /// `N=` messages, `R=` recipients, `A=` attempts, then agents or the reason to wait, then the age of the oldest message.
    private func fields(_ thread: ThreadDescription, separator: String) -> String {
        let isWide = separator == " "
        func left(_ number: Int, _ width: Int) -> String { isWide ? Self.left(number, width) : String(number) }
        var fields = [
            "N=\(left(thread.messages, 3))", "R=\(left(thread.recipients, 3))", "A=\(left(thread.attempts, 2))",
        ]
        if !thread.agents.isEmpty {
            let agents = thread.agents
            func list(_ value: (AgentDescription) -> String) -> String {
                "{" + agents.map(value).joined(separator: ",") + "}"
            }
            fields.append("P=" + list { pid($0.number).map(String.init) ?? "0" })
            fields.append("HA=" + list { "\(max(0, scheduler.now - $0.hungrySince))" } + "s")
            fields.append("FA=" + list { $0.fedAt.map { "\(max(0, scheduler.now - $0))" } ?? "never" } + "s")
            fields.append("OF=" + list { String($0.jobs) })
            fields.append("S=" + list { stateName($0.state) })
            fields.append("UF=\(max(0, thread.messages - agents.reduce(0) { $0 + $1.jobs }))")
        } else if let next = thread.nextAttempt, next > scheduler.now {
            fields.append("W=\(next - scheduler.now)s")
        } else if let reason = pending(thread) {
            fields.append("pend=\(reason)")
        }
        fields.append("QA=\(SchedulerTime.text(max(0, scheduler.now - min(thread.oldest, scheduler.now))))")
        return fields.joined(separator: separator)
    }

    private func pending(_ thread: ThreadDescription) -> String? {
        if !thread.isMatched { return "clause" }
        if thread.nextAttempt == nil { return thread.held == thread.messages ? "hold" : "queueonly" }
        return thread.isBlocked ? "channel" : nil
    }

    private func stateName(_ state: AgentDescription.State) -> String {
        switch state {
        case .starting: "LARVA"
        case .working: "STUFF"
        case .retiring: "FINISH"
        case .idle: "IDLE"
        }
    }

    // MARK: One thread

    private func thread(_ channel: String, _ host: String) -> QueueSocket.Answer {
        var ids = scheduler.messageIDs(channel: channel, host: host)[...]
        var isNamed = false
        return {
            if !isNamed {
                isNamed = true
                guard
                    let found = scheduler.threadDescriptions.first(where: { $0.channel == channel && $0.host == host })
                else { return nil }
                return "#\(channel)/\(host)/\(found.isAgentPerHost ? 1 : 0)  \(fields(found, separator: " "))\n"
            }
            // What has gone meanwhile is passed over.
            while let id = ids.popFirst() {
                if let job = scheduler.describe(id, channel: channel, host: host) { return lines(job) }
            }
            return nil
        }
    }

    /// File, number in the group, error address, offset, expiry, next wake-up, last feed, attempts, reason to wait, last answer.
    private func lines(_ job: JobDescription) -> String {
        let next = job.nextAttempt ?? 0
        let wait =
            next > scheduler.now
            ? "retry in \(SchedulerTime.text(next - scheduler.now))"
            : job.isActive ? "" : job.isBlocked ? "channel" : "thread"
        return job.recipients.enumerated().map { index, recipient in
            let fields = [
                "\(job.id)", "\(index)", "<\(job.sender)>", "\(recipient.offset)", "\(job.expires ?? 0)", "\(next)",
                "\(job.lastAttempt)", "\(job.attempts)", wait, recipient.last,
            ]
            return fields.map(Self.cleaned).joined(separator: "\t") + "\n"
        }.joined()
    }

    /// Nothing of a stranger's may end a field or a line.
    static func cleaned(_ text: String) -> String {
        text.utf8.contains { $0 < 0x20 || $0 == 0x7f }
            ? String(decoding: text.utf8.map { $0 < 0x20 || $0 == 0x7f ? 0x20 : $0 }, as: UTF8.self) : text
    }

    // MARK: Sums

    private func summary(uptime: String) -> String {
        let counters = scheduler.counters
        return "Kids: \(scheduler.agentCount)  Idle: \(right(scheduler.idleAgentCount, 2))"
            + "  Msgs: \(right(scheduler.messageCount, 3))  Thrds: \(right(scheduler.threadCount, 3))"
            + "  Rcpnts: \(right(scheduler.recipientCount, 4))  Uptime: \(uptime)\n"
            + "Msgs in \(counters.receivedMessages) out \(counters.finishedMessages) stored \(scheduler.messageCount)"
            + " Rcpnts in \(counters.receivedRecipients) out \(counters.finishedRecipients)"
            + " stored \(scheduler.recipientCount)\n"
    }

    /// ZMailer's names, of those that the scheduler itself counts.
    private func counterLines() -> String {
        let core = scheduler.counters
        let mailq = counters()
        let values: [(String, Int)] = [
            ("Time_now", Int(scheduler.now)), ("SYS.SchedulerMasterPID", Int(getpid())),
            ("SYS.SchedulerMasterStartTime", Int(started)), ("SC.ReceivedMessages", core.receivedMessages),
            ("SC.ReceivedRecipients", core.receivedRecipients), ("SC.TransmittedMessages", core.finishedMessages),
            ("SC.TransmittedRecipients", core.finishedRecipients), ("SC.StoredMessages-G", scheduler.messageCount),
            ("SC.StoredThreads-G", scheduler.threadCount), ("SC.StoredRecipients-G", scheduler.recipientCount),
            ("SC.TransportAgentForks", core.startedAgents), ("SC.TransportAgentProcesses-G", scheduler.agentCount),
            ("SC.TransportAgentsActive-G", scheduler.agentCount - scheduler.idleAgentCount),
            ("SC.TransportAgentsIdle-G", scheduler.idleAgentCount), ("SC.MQ2Parallel-G", mailq.parallel),
            ("SC.MQ2Connects", mailq.connects), ("SC.MQ2AuthRej", mailq.refusedLogins),
            ("SC.MQ2TimedOut", mailq.timedOut), ("SC.MQ2Commands", mailq.commands),
            ("SC.MQ2CommandETRN", mailq.etrns),
        ]
        return values.map { "\($0.padding(toWidth: 31)) \(right($1, 10))\n" }.joined()
    }

    private func right(_ number: Int, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: " ", count: max(0, width - text.utf8.count)) + text
    }

    private static func left(_ number: Int, _ width: Int) -> String { String(number).padding(toWidth: width) }
}

/// Since the start.
struct MailqCounters {
    var parallel = 0
    var connects = 0
    var refusedLogins = 0
    var timedOut = 0
    var commands = 0
    var etrns = 0
}

extension String {
    fileprivate func padding(toWidth width: Int) -> String {
        self + String(repeating: " ", count: Swift.max(0, width - utf8.count))
    }
}
