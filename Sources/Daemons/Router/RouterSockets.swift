import ChildProcesses
import Configuration
import Glibc
import MetricsCollection
import PolicyEngine
import Postoffice
import SpoolCheck
import SpoolFormat
import Telemetry

/// What others may ask the router's master: `.router.queue` (docs/protocols.md §5), its own metrics, and at METRICS those of all programs. This
/// process is always there and needs no privilege. What cannot be opened is an error in the log.
struct RouterSockets {
    /// The messages that it has, and whether there may be more than it knows.
    typealias Audit = () -> (ids: [SpoolID], isLoading: Bool)

    private var questions: QuestionSocket?

    init(
        _ postoffice: Postoffice, _ configuration: MailConfiguration, _ poller: Poller, _ metrics: RouterMetrics,
        _ log: EventLog, audit: @escaping Audit
    ) {
        var info = stat()
        let owner = stat(postoffice.root, &info) == 0 ? info.st_uid : geteuid()
        do throws(UnixSocket.Failure) {
            questions = try QuestionSocket(
                path: "\(postoffice.root)/.router.queue", owner: owner, poller: poller
            ) { Self.answer($0, audit) }
        } catch {
            log.error("no-question-socket", ["reason": error.description])
        }
        if !MetricServer.serve(metrics.metrics, of: "router", in: postoffice.root) {
            log.error("no-metrics", ["reason": String(cString: strerror(errno))])
        }
        guard let address = configuration.metricsAddress else { return }
        do throws(UnixSocket.Failure) {
            try MetricsListener.serve(address, MetricsCollector(postoffice: postoffice.root))
            log.notice("metrics", ["address": address.description])
        } catch {
            log.error("no-metrics", ["address": address.description, "reason": error.description])
        }
    }

    private static func answer(_ question: String, _ audit: Audit) -> QuestionSocket.Answer {
        guard question == "audit" else {
            var text: String? = "error valid is audit\n"
            return {
                defer { text = nil }
                return text
            }
        }
        let (ids, isLoading) = audit()
        var rest = ids[...]
        var hasEnded = false
        return {
            if let id = rest.popFirst() { return AuditLine.message(id, problem: nil).text }
            defer { hasEnded = true }
            return hasEnded ? nil : AuditLine.end(isLoading: isLoading).text
        }
    }
}
