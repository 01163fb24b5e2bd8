import Configuration
import Glibc
import ProgramKit

/// What an operator does to the queue: `zmailer queue hold …`. Each prints what was done, in words or as JSON.
public enum QueueControl {
    public enum Verb: String, Sendable {
        case retry, hold, release, remove, bounce, move, reroute

        /// What was done, and what would be.
        var texts: (done: String, planned: String) {
            switch self {
            case .retry: ("to be tried now", "would be tried now")
            case .hold: ("held", "would be held")
            case .release: ("released", "would be released")
            case .remove: ("removed", "would be removed")
            case .bounce: ("returned to their senders", "would be returned to their senders")
            case .move: ("on their way to the new destination", "would be moved")
            case .reroute: ("to be routed again", "would be routed again")
            }
        }
    }

    public struct Request: Sendable {
        public var verb: Verb
        public var filter: QueueFilter
        public var reason: String
        /// Of ``Verb/move``: `channel/host`.
        public var target: String?
        public var isDryRun: Bool

        public init(_ verb: Verb, _ filter: QueueFilter, reason: String = "", target: String? = nil, isDryRun: Bool) {
            self.verb = verb
            self.filter = filter
            self.reason = reason
            self.target = target
            self.isDryRun = isDryRun
        }
    }

    /// What was said of it; ``ExitCode/noInput`` if messages were named and none of them is there.
    public static func operate(_ environment: ZEnvironment, _ request: Request, json: Bool) -> ExitCode {
        var fields = request.filter.fields + ["by=\(operatorName)"]
        if !request.reason.isEmpty { fields.append("reason=\(request.reason)") }
        if let target = request.target { fields.append("to=\(target)") }
        if request.isDryRun { fields.append("dry-run") }
        var found = 0
        let code = operate(environment, request.verb, fields) { answer in
            found = answer["messages"]?.integer ?? 0
            Program.print(json ? answer.text : text(answer, request.verb))
        }
        return code == .ok && found == 0 && !request.filter.ids.isEmpty ? .noInput : code
    }

    /// `answered` gets what was done; ``ExitCode/temporaryFailure`` if not all of it is on the disk.
    static func operate(
        _ environment: ZEnvironment, _ verb: Verb, _ fields: [String], _ answered: (JSONValue) -> Void
    ) -> ExitCode {
        var answer: JSONValue?
        let code = ask(environment, ["operate", verb.rawValue], fields) { line in
            if line["progress"] != nil { return tellProgress(line) }
            answer = line
        }
        guard code == .ok else { return code }
        guard let answer else {
            Program.print("zmailer: the scheduler ended before it was through; ask again when it runs", to: 2)
            return .unavailable
        }
        answered(answer)
        return answer["not_stored"] == nil ? .ok : .temporaryFailure
    }

    /// `12 messages held (30 recipients); …`.
    static func text(_ answer: JSONValue, _ verb: Verb) -> String {
        func number(_ key: String) -> Int { answer[key]?.integer ?? 0 }
        let isDryRun = answer["dry_run"] == .bool(true)
        let messages = number("messages")
        guard messages > 0 else { return "nothing in the queue is meant" }
        var text = "messages \(isDryRun ? verb.texts.planned : verb.texts.done): \(messages), recipients: "
        text += "\(number("recipients"))"
        if number("unchanged") > 0 { text += "; recipients left as they were: \(number("unchanged"))" }
        if let problem = answer["not_stored"]?.string {
            text += "; a restart may undo it: \(QueueListing.printable(problem))"
        }
        guard number("in_hand") > 0 else { return text }
        switch verb {
        case .remove, .bounce, .move, .reroute:
            text += "; an agent has \(number("in_hand")) of them: they may be delivered still, and what is not "
            text += verb == .remove ? "is gone afterwards" : "follows when the agent has reported"
        case .hold: text += "; an agent has \(number("in_hand")) of them: they may be delivered still"
        case .retry, .release: break
        }
        return text
    }

    private static func tellProgress(_ answer: JSONValue) {
        guard isatty(2) != 0 else { return }
        Program.print("… \(answer["progress"]?.integer ?? 0) of \(answer["of"]?.integer ?? 0) messages", to: 2)
    }

    // MARK: Suspensions

    /// `fields` are `host=…`, `for=…` and so on.
    public static func suspend(_ environment: ZEnvironment, _ fields: [String], json: Bool) -> ExitCode {
        let listing = SuspensionListing(now: time(nil))
        return ask(environment, ["suspend"], fields + ["by=\(operatorName)"]) {
            Program.print(json ? $0.text : listing.line($0))
        }
    }

    /// `numbers`: none for all of them.
    public static func resume(_ environment: ZEnvironment, numbers: [Int], json: Bool) -> ExitCode {
        let listing = SuspensionListing(now: time(nil))
        let fields = numbers.isEmpty ? ["all"] : numbers.map { "number=\($0)" }
        return ask(environment, ["resume"], fields + ["by=\(operatorName)"]) {
            Program.print(json ? $0.text : "ended: " + listing.line($0))
        }
    }

    public static func suspensions(_ environment: ZEnvironment, json: Bool) -> ExitCode {
        let listing = SuspensionListing(now: time(nil))
        return ask(environment, ["suspensions"], []) { Program.print(json ? $0.text : listing.line($0)) }
    }

    // MARK: Asking

    /// Prints what goes wrong.
    static func ask(
        _ environment: ZEnvironment, _ words: [String], _ fields: [String], _ each: (JSONValue) -> Void
    ) -> ExitCode {
        if let code = Control.refuseStranger("zmailer", environment) { return code }
        do throws(QueueQuestion.Problem) {
            let line = try QueueQuestion.line(words, fields)
            guard line.utf8.count < QueueQuestion.maximumLength else {
                Program.print("zmailer: too many words; valid are \(QueueQuestion.maximumLength) octets of them", to: 2)
                return .usage
            }
            do throws(QueueClient.Failure) {
                try QueueClient(environment).ask(line: line, each)
                return .ok
            } catch {
                Program.print("zmailer: \(QueueListing.printable(error.description))", to: 2)
                if case .refused = error { return .usage }
                return .unavailable
            }
        } catch {
            Program.print("zmailer: \(error)", to: 2)
            return .usage
        }
    }

    /// Who asks, for the log: the user of sudo, or our own.
    static var operatorName: String {
        if let name = getenv("SUDO_USER").map({ String(cString: $0) }), !name.isEmpty { return name }
        guard let entry = getpwuid(getuid()) else { return "uid \(getuid())" }
        return String(cString: entry.pointee.pw_name)
    }
}

/// Suspensions as a person reads them.
struct SuspensionListing {
    /// Seconds since 1970.
    let now: Int

    func line(_ value: JSONValue) -> String {
        var text = "\(value["suspension"]?.integer ?? 0)".padding(4)
        for key in ["channel", "host", "sender", "recipient"] {
            if let pattern = value[key]?.string { text += " \(key)=\(QueueListing.printable(pattern))" }
        }
        if let until = value["until"]?.integer {
            text += ", ends in \(QueueListing.age(until - now))"
        } else {
            text += ", until it is resumed"
        }
        if let messages = value["messages"]?.integer {
            text += ", messages: \(messages), recipients: \(value["recipients"]?.integer ?? 0)"
        }
        text += ", by \(QueueListing.printable(value["by"]?.string ?? "?"))"
        let reason = value["reason"]?.string ?? ""
        if !reason.isEmpty { text += ": \(QueueListing.printable(reason))" }
        if let problem = value["not_stored"]?.string {
            text += "\n     not written to the disk, so that a restart ends it: \(QueueListing.printable(problem))"
        }
        return text
    }
}

extension String {
    fileprivate func padding(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
