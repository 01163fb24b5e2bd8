import Configuration
import Glibc
import Postoffice
import ProgramKit
import SpoolCheck
import Telemetry

/// What `zmailer check queue` does (docs/spool.md §7).
public enum QueueCheckCommand {
    /// One line a finding, then one of sums. 0: nothing is left to be done; 65: something is, or a dry run has found something; 75: a
    /// daemon runs and does not say what it has.
    public static func run(_ environment: ZEnvironment, repairs: Bool, json: Bool) -> ExitCode {
        if let code = Control.refuseStranger("zmailer", environment) { return code }
        do {
            let keeping = try HouseKeeping.read(environment)
            let postoffice = try Postoffice(environment.postoffice)
            var given = try SpoolOwnership.restore(postoffice, repairs: repairs)
            try ProcessIdentity.becomeOwner(of: environment.postoffice)
            let log =
                repairs ? try EventLog(program: "zmailer", destination: .file("\(environment.logdir)/zmailer")) : nil
            var options = SpoolCheckOptions()
            options.repairs = repairs
            options.draftAge = keeping.publicAge
            var moved: [SpoolFinding] = []
            func tell(_ finding: SpoolFinding) {
                Program.print(json ? Self.json(finding) : line(finding))
                log?.warning("stray", finding.logFields)
                if case .setAside = finding.outcome { moved.append(finding) }
            }
            given.forEach(tell)
            let told = Set(given.map(\.file))
            var summary = try SpoolCheck(postoffice, options).run { finding in
                // Root has said it already, and why.
                if finding.problem == .wrongOwner, told.contains(finding.file) { return }
                tell(finding)
            }
            // Those that root was told of are found again as long as they are not given back.
            given.removeAll { !$0.isSettled }
            summary.findings += given.count
            let folder = try PostmanFolder.look(postoffice, maximumAge: nil, now: Int64(time(nil)))
            let host = environment["HOSTNAME"] ?? "localhost"
            _ = try StrayReport.send(moved, to: postoffice, hostName: host, time: Int64(time(nil)))
            let held = OperatorHolds(environment, now: Int(time(nil)))
            Program.print(json ? Self.json(summary, folder, held) : text(summary, folder, held))
            if summary.isPartial { return .temporaryFailure }
            return summary.open == 0 ? .ok : .dataError
        } catch {
            Program.print("zmailer: \(error)", to: 2)
            return (error as? PostofficeError)?.kind == .notOwner ? .noPermission : .osFile
        }
    }

    static func line(_ finding: SpoolFinding) -> String {
        "\(TerminalText.escaped(finding.file)): \(finding.problem.rawValue) (\(TerminalText.escaped(finding.detail))): "
            + "\(finding.outcomeName): \(TerminalText.escaped(finding.action))"
    }

    static func json(_ finding: SpoolFinding) -> String {
        func quoted(_ text: String) -> String { JSONValue.string(text).text }
        return "{\"file\":\(quoted(finding.file)),\"problem\":\"\(finding.problem.rawValue)\","
            + "\"detail\":\(quoted(finding.detail)),\"outcome\":\"\(finding.outcomeName)\","
            + "\"action\":\(quoted(finding.action))}"
    }

    static func text(_ summary: SpoolCheck.Summary, _ postman: PostmanFolder, _ held: OperatorHolds? = nil) -> String {
        var text =
            "strays: \(summary.findings), to be looked at: \(summary.open); files \(summary.files), to be routed "
            + "\(summary.unrouted), in the queue \(summary.queued), deferred \(summary.deferred), frozen \(summary.frozen); "
            + "router \(summary.router), scheduler \(summary.scheduler)"
        if postman.files > 0 {
            text += "\npostman: \(postman.files) files, the oldest for \(SchedulerTime.text(postman.oldestAge))"
        }
        if let held, held.messages > 0 {
            text += "\nheld by operators: \(held.messages) messages, the longest for \(QueueListing.age(held.longest))"
        }
        return text
    }

    static func json(_ summary: SpoolCheck.Summary, _ postman: PostmanFolder, _ held: OperatorHolds? = nil) -> String {
        func quoted(_ text: String) -> String { JSONValue.string(text).text }
        return "{\"strays\":\(summary.findings),\"open\":\(summary.open),\"files\":\(summary.files),"
            + "\"unrouted\":\(summary.unrouted),\"queued\":\(summary.queued),\"deferred\":\(summary.deferred),"
            + "\"frozen\":\(summary.frozen),\"router\":\(quoted(summary.router)),\"scheduler\":\(quoted(summary.scheduler)),"
            + "\"postman\":\(postman.files),\"postman_oldest\":\(postman.oldestAge),"
            + "\"held\":\(held.map { "\($0.messages)" } ?? "null"),"
            + "\"held_longest\":\(held.map { "\($0.longest)" } ?? "null")}"
    }
}

/// Messages that operators hold: they have no end of their own, so the check names them, though they are no strays.
struct OperatorHolds {
    let messages: Int
    /// Seconds.
    let longest: Int

    init(messages: Int, longest: Int) {
        self.messages = messages
        self.longest = longest
    }

    /// `nil`: the scheduler does not say.
    init?(_ environment: ZEnvironment, now: Int) {
        var status: JSONValue?
        do throws(QueueClient.Failure) {
            try QueueClient(environment).ask(.status) { status = $0 }
        } catch {
            return nil
        }
        guard let status, let messages = status["held_by_operator"]?.integer else { return nil }
        self.init(messages: messages, longest: max(0, now - (status["oldest_hold"]?.integer ?? now)))
    }
}
