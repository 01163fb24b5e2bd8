import ChildProcesses
import Glibc
import Synchronization
import Telemetry

/// The metrics of all programs of an instance as one text, asked of their sockets in POSTOFFICE.
public final class MetricsCollector: Sendable {
    /// The programs that are expected to run: `zmailer_up` says which of them have answered; `policy` is the router's policy service.
    public static let programs = ["policy", "router", "scheduler", "smtpserver"]
    /// Milliseconds for one of them; none of them has to calculate much.
    static let patience: Int64 = 1500
    /// Milliseconds for which an answer is given again: many scrapers ask the programs no more often than one.
    static let freshness: Int64 = 1000

    private let postoffice: String
    private let last = Mutex<(time: Int64, text: String)?>(nil)

    public init(postoffice: String) { self.postoffice = postoffice }

    /// Blocks for a moment, and for ``patience`` with each program that does not answer.
    public var text: String {
        // Whoever comes meanwhile waits for the same answer.
        last.withLock { last in
            if let last, SteadyClock.milliseconds - last.time < Self.freshness { return last.text }
            let text = collect()
            last = (SteadyClock.milliseconds, text)
            return text
        }
    }

    private func collect() -> String {
        var all = MetricText()
        var up: [String: Bool] = [:]
        for program in Self.programs {
            var text = ""
            do throws(UnixSocket.Failure) {
                try UnixDialogue.ask(
                    MetricServer.path(postoffice, program), "metrics\n", milliseconds: Self.patience
                ) { line in text += String(decoding: line, as: UTF8.self) + "\n" }
            } catch {
                // A part of an answer would make counters go back.
                text = ""
            }
            up[program] = all.add(text)
        }
        var writer = MetricWriter()
        writer.begin("zmailer_up", .gauge, "Whether the program has told its metrics.")
        for program in Self.programs {
            writer.sample("zmailer_up", [("program", program)], up[program] ?? false ? "1" : "0")
        }
        return writer.text + all.text
    }

    /// Whether any program has answered.
    public static func isAnybodyUp(_ text: String) -> Bool {
        programs.contains { text.contains("zmailer_up{program=\"\($0)\"} 1\n") }
    }
}
