/// Where a value of scheduler.conf stands.
struct SchedulerValueSource: Hashable, Sendable {
    let line: Int
    /// As it is written, quotes removed.
    let text: String
}

/// Which values hold for a channel and host, and why (scheduler.md §2).
public struct SchedulerExplanation: Hashable, Sendable {
    /// A keyword and where its value comes from.
    public struct Value: Hashable, Sendable {
        public let keyword: String
        /// As it is written; for a default, what it means.
        public let text: String
        /// `nil`: no clause sets it, the default holds.
        public let line: Int?
        /// The patterns of the clause with that line.
        public let clause: String?
    }

    /// A clause that was looked at.
    public struct Look: Hashable, Sendable {
        public enum Verdict: Hashable, Sendable {
            case matches
            /// Likewise, and it has a command, which ends the search.
            case ends
            /// For each of its patterns, the first part that differs.
            case differs([SchedulerPattern.Part])
        }
        /// Of its first pattern.
        public let line: Int
        /// Its patterns.
        public let clause: String
        public let verdict: Verdict
    }

    public let channel: String
    public let host: String
    /// `nil`: no matching clause has a command; such mail waits.
    public let settings: SchedulerSettings?
    /// All keywords in alphabetical order.
    public let values: [Value]
    /// In the order of the file.
    public let looks: [Look]
    /// Clauses behind the one that has ended the search.
    public let notReached: Int

    /// For people; `file` is the name of scheduler.conf.
    public func lines(file: String) -> [String] {
        var out = ["\(channel)/\(host)"]
        for look in looks { out.append("  \(file):\(look.line): \(look.clause): \(describe(look.verdict))") }
        if notReached > 0 { out.append("  \(notReached) more \(notReached == 1 ? "clause" : "clauses") not looked at") }
        if settings == nil { out.append("  no clause that matches has a command: its mail waits") }
        for value in values {
            let origin = value.line.map { "\(file):\($0) (\(value.clause ?? ""))" } ?? "default"
            out.append("  \(value.keyword)=\(Self.quoted(value.text))  \(origin)")
        }
        return out
    }

    private func describe(_ verdict: Look.Verdict) -> String {
        switch verdict {
        case .matches: "matches, has no command: the search goes on"
        case .ends: "matches and has a command: the search ends"
        case .differs(let parts):
            parts.contains(.host)
                ? "host '\(host)' does not match" : "channel '\(channel)' does not match"
        }
    }

    private static func quoted(_ text: String) -> String {
        text.contains(where: { $0 == " " || $0 == "\t" }) ? "\"\(text)\"" : text
    }
}

extension SchedulerConfiguration {
    /// For each value the clause that has set it, and for each clause that was looked at why it matches or does not.
    public func explanation(channel: String, host: String) -> SchedulerExplanation {
        var looks: [SchedulerExplanation.Look] = []
        var sources: [String: (source: SchedulerValueSource, clause: String)] = [:]
        var reached = 0
        for clause in clauses {
            reached += 1
            let parts = clause.patterns.map { $0.mismatch(channel: channel, host: host) }
            let isMatch = parts.contains(nil)
            looks.append(
                SchedulerExplanation.Look(
                    line: clause.line, clause: clause.name,
                    verdict: !isMatch
                        ? .differs(parts.compactMap { $0 }) : clause.command == nil ? .matches : .ends))
            guard isMatch else { continue }
            for (keyword, source) in clause.sources {
                if keyword == "nice" { sources["priority"] = nil }
                if keyword == "priority" { sources["nice"] = nil }
                sources[keyword] = (source, clause.name)
            }
            if clause.command != nil { break }
        }
        let keywords = (Array(SchedulerKeyword.table.keys) + ["command"]).sorted()
        let values = keywords.map { keyword in
            let found = sources[keyword]
            return SchedulerExplanation.Value(
                keyword: keyword, text: found?.source.text ?? Self.defaults[keyword] ?? "no",
                line: found?.source.line, clause: found?.clause)
        }
        return SchedulerExplanation(
            channel: channel, host: host, settings: settings(channel: channel, host: host), values: values,
            looks: looks,
            notReached: clauses.count - reached)
    }

    /// What holds where no clause says anything; flags that are missing here are `no`.
    private static let defaults = [
        "bychannel": "yes", "command": "none", "deliveryform": "delivery", "expiry": "3d", "expiry2": "1d",
        "expiryform": "expired", "group": "of POSTOFFICE", "idlemax": "3 x interval", "interval": "1m",
        "maxchannel": "0", "maxconn": "0", "maxmsgs": "0", "maxrate": "0", "maxring": "0", "maxta": "200",
        "maxthr": "1", "nice": "0", "overfeed": "0", "priority": "the scheduler's own", "reporttimes": "none",
        "retries": "1 1 2 3 5 8 13 21 34", "skew": "5", "user": "owner of POSTOFFICE",
    ]
}
