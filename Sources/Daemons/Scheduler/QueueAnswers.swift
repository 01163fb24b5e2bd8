import AgentProtocol
import Configuration
import Glibc
import Scheduling
import SpoolFormat

/// The questions of docs/protocols.md §5.
struct QueueAnswers {
    let scheduler: DeliveryScheduler
    /// Seconds since 1970.
    let started: UnixTime
    /// `nil`: too many wait already.
    let etrn: (_ target: ETRNTarget, _ origin: String) -> LocalETRN.Answer?
    let isLoading: () -> Bool
    var audit: () -> QueueSocket.Answer = { { nil } }
    let begin: (QueueOperation, @escaping QueueSocket.Delivery) -> Void
    let suspend: (Suspension, @escaping QueueSocket.Delivery) -> Void
    let resume: (OperatorNote, (Suspension) -> Bool, @escaping QueueSocket.Delivery) -> Void
    /// Lines as mailq has them.
    let report: (MailqServerSession.Report) -> QueueSocket.Answer

    /// Messages that a piece of an answer may look at.
    static let messagesOfPiece = 256

    func answer(_ question: String) -> QueueSocket.Reply {
        if question.utf8.contains(0x09) || ["select", "suspensions"].contains(question) {
            do throws(QueueRequest.Problem) {
                return try answer(try QueueRequest(question))
            } catch {
                return .pieces(refusal(error.reason))
            }
        }
        return .pieces(simple(question))
    }

    private func answer(_ request: QueueRequest) throws(QueueRequest.Problem) -> QueueSocket.Reply {
        switch request.words.first {
        case "select": return .pieces(select(try request.selection(besides: [])))
        case "operate":
            let operation = try request.operation(now: scheduler.wall)
            return .later { begin(operation, $0) }
        case "suspend":
            let suspension = try request.suspension(now: scheduler.wall)
            return .later { suspend(suspension, $0) }
        case "resume": return try resumption(request)
        case "suspensions": return .pieces(suspensions())
        default: throw QueueRequest.Problem("valid questions with fields are select, operate, suspend, resume")
        }
    }

    private func resumption(_ request: QueueRequest) throws(QueueRequest.Problem) -> QueueSocket.Reply {
        let note = request.note(scheduler.wall)
        if request.has("all") { return .later { resume(note, { _ in true }, $0) } }
        var numbers: Set<Int> = []
        for (key, value) in request.values where key == "number" {
            guard let number = Int(value) else {
                throw QueueRequest.Problem(
                    "'\(value)' is no number of a suspension; zmailer queue suspensions shows them")
            }
            numbers.insert(number)
        }
        guard !numbers.isEmpty else {
            throw QueueRequest.Problem("nothing says what is resumed; valid are numbers of suspensions, and --all")
        }
        return .later { resume(note, { numbers.contains($0.number) }, $0) }
    }

    /// Messages with recipients that are meant, oldest first.
    private func select(_ selection: QueueSelection) -> QueueSocket.Answer {
        var ids = (selection.ids.isEmpty ? scheduler.messageIDs : selection.ids.sorted())[...]
        let operation = QueueOperation(
            .count, selection, OperatorNote(operatorName: "", reason: "", time: 0), isDryRun: true)
        return {
            for _ in 0..<Self.messagesOfPiece {
                guard let id = ids.popFirst() else { return nil }
                var tally = OperationTally()
                scheduler.apply(operation, to: id, &tally)
                if tally.messages > 0, let message = scheduler.describe(id) { return QueueJSON.line(message) }
            }
            return ids.isEmpty ? nil : ""
        }
    }

    private func suspensions() -> QueueSocket.Answer {
        guard !scheduler.suspensions.isEmpty else { return { nil } }
        var ids = scheduler.messageIDs[...]
        var counts: [Int: SuspensionCount] = [:]
        var isTold = false
        return {
            for _ in 0..<Self.messagesOfPiece {
                guard let id = ids.popFirst() else { break }
                scheduler.countSuspended(id, &counts)
            }
            guard ids.isEmpty else { return "" }
            guard !isTold else { return nil }
            isTold = true
            return scheduler.suspensions.entries.map {
                QueueJSON.line($0, counts: counts[$0.number] ?? SuspensionCount(), problem: nil)
            }.joined()
        }
    }

    private func simple(_ question: String) -> QueueSocket.Answer {
        let words = question.split(separator: " ", maxSplits: 1)
        switch (words.first, words.count) {
        case ("queue", 1):
            var ids = scheduler.messageIDs[...]
            return {
                // What has gone meanwhile is passed over.
                while let id = ids.popFirst() {
                    if let message = scheduler.describe(id) { return QueueJSON.line(message) }
                }
                return nil
            }
        case ("threads", 1):
            var threads = scheduler.threadDescriptions[...]
            return { threads.popFirst().map(QueueJSON.line) }
        case ("message", 2):
            guard let id = SpoolID(words[1]), let message = scheduler.describe(id) else {
                return refusal("there is no such message in the queue")
            }
            return once(QueueJSON.line(message))
        case ("etrn", 2): return once(start(words[1]))
        case ("status", 1): return once(status)
        case ("audit", 1): return audit()
        case ("mailq", 2): return mailq(words[1])
        case ("flush", _):
            guard let pattern = SchedulerPattern(words.count == 2 ? String(words[1]) : "*/*") else {
                return refusal("the pattern cannot be read; valid is channel/host with * ? [a-z] {a,b}")
            }
            return once("{\"flushed\":\(scheduler.flush { pattern.matches(channel: $0, host: $1) })}\n")
        default:
            return refusal(
                "valid questions are queue, threads, message ID, status, audit, flush [channel/host], etrn domain [for-whom], "
                    + "mailq LIST, select, operate VERB, suspend, resume, suspensions")
        }
    }

    /// A list of ZMailer's mailq, each line as an object.
    private func mailq(_ question: Substring) -> QueueSocket.Answer {
        guard let found = MailqServerSession.report(question.split(separator: " ").map(String.init)) else {
            let valid = "SNMP, COUNTERS, QUEUE SHORT, QUEUE THREADS, QUEUE THREADS2, THREAD channel host"
            return refusal("there is no such list; valid are \(valid)")
        }
        let pieces = report(found.0)
        return {
            pieces().map { text in
                text.split(separator: "\n", omittingEmptySubsequences: true)
                    .map { "{\"line\":\(QueueJSON.string(String($0)))}\n" }.joined()
            }
        }
    }

    private func refusal(_ reason: String) -> QueueSocket.Answer { once("{\"error\":\(QueueJSON.string(reason))}\n") }

    private func once(_ text: String) -> QueueSocket.Answer {
        var text: String? = text
        return {
            defer { text = nil }
            return text
        }
    }

    private func start(_ argument: Substring) -> String {
        let words = argument.split(separator: " ", maxSplits: 1)
        guard let word = words.first, let target = ETRNTarget(word) else {
            return "{\"error\":\"no name to be started; valid are a host, @domain, #channel\"}\n"
        }
        guard let answer = etrn(target, words.count > 1 ? "local for \(words[1])" : "local") else {
            return "{\"error\":\"too many requests wait; try again later\"}\n"
        }
        return answer.line(target)
    }

    private var status: String {
        "{\"pid\":\(getpid()),\"messages\":\(scheduler.messageCount),\"recipients\":\(scheduler.recipientCount),"
            + "\"threads\":\(scheduler.threadCount),\"agents\":\(scheduler.agentCount),\"active\":\(scheduler.activeJobs),"
            + "\"held\":\(scheduler.heldCount),\"held_by_operator\":\(scheduler.operatorHeldCount),"
            + "\"oldest_hold\":\(QueueJSON.number(scheduler.oldestHold)),\"suspensions\":\(scheduler.suspensions.entries.count),"
            + "\"loading\":\(isLoading()),\"uptime\":\(max(0, scheduler.now - started))}\n"
    }
}
