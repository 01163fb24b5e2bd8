import Configuration
import Glibc
import ProgramKit

/// What `mailq` and `zmailer queue` print.
public enum QueueCommand {
    /// Every message with what is still to be done for it, then a line of sums; with `json` one object a line, as the
    /// scheduler gives them, and those of messages that are not yet routed.
    public static func list(_ environment: ZEnvironment, json: Bool, threads: Bool) -> ExitCode {
        if let code = Control.refuseStranger("mailq", environment) { return code }
        let client = QueueClient(environment)
        let listing = QueueListing(now: time(nil))
        let unrouted = client.unrouted()
        do throws(QueueClient.Failure) {
            try client.ask(threads ? .threads : .queue) { value in
                Program.print(json ? value.text : threads ? listing.thread(value) : listing.message(value))
            }
            if !threads {
                for message in unrouted { Program.print(json ? message.json : listing.unrouted(message)) }
            }
            guard !json else { return .ok }
            try client.ask(.status) { Program.print(listing.summary($0, unrouted: unrouted)) }
            return .ok
        } catch {
            Program.print("mailq: \(error)", to: 2)
            return .unavailable
        }
    }

    /// Tries everything now that waits for its next attempt and matches `pattern` (`channel/host`; empty: everything).
    public static func flush(_ environment: ZEnvironment, pattern: String) -> ExitCode {
        if let code = Control.refuseStranger("zmailer", environment) { return code }
        do throws(QueueClient.Failure) {
            try QueueClient(environment).ask(.flush, argument: pattern) { value in
                Program.print("recipients to be tried now: \(value["flushed"]?.integer ?? 0)")
            }
            return .ok
        } catch {
            Program.print("zmailer: \(error)", to: 2)
            return .unavailable
        }
    }
}
