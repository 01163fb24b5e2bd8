import Configuration
import Glibc
import ProgramKit

/// `zmailer queue top`: sums and destinations, the largest first, again and again.
public enum QueueTop {
    public struct Options: Sendable {
        /// Seconds between two looks.
        public var interval: Int
        /// Destinations that are shown.
        public var lines: Int
        /// One look, without moving the cursor.
        public var isOnce: Bool

        public init(interval: Int, lines: Int, isOnce: Bool) {
            self.interval = interval
            self.lines = lines
            self.isOnce = isOnce
        }
    }

    public static func run(_ environment: ZEnvironment, _ options: Options) -> ExitCode {
        if let code = Control.refuseStranger("zmailer", environment) { return code }
        let client = QueueClient(environment)
        while true {
            var threads: [JSONValue] = []
            var status = JSONValue.null
            do throws(QueueClient.Failure) {
                try client.ask(.status) { status = $0 }
                try client.ask(.threads) { threads.append($0) }
            } catch {
                Program.print("zmailer: \(QueueListing.printable(error.description))", to: 2)
                return .unavailable
            }
            let screen = screen(
                status, threads, unrouted: client.unrouted(), lines: options.lines, now: time(nil))
            guard !options.isOnce else {
                Program.print(screen)
                return .ok
            }
            // Home, the lines each with what was behind them cleared, then what is left below.
            let lines = screen.split(separator: "\n", omittingEmptySubsequences: false)
            Program.print("\u{1b}[H" + lines.map { "\($0)\u{1b}[K" }.joined(separator: "\n") + "\n\u{1b}[J")
            sleep(UInt32(clamping: options.interval))
        }
    }

    /// Strangers' texts are printable, and a line is not longer than 200 characters.
    static func screen(
        _ status: JSONValue, _ threads: [JSONValue], unrouted: [UnroutedMessage], lines: Int, now: Int
    ) -> String {
        let listing = QueueListing(now: now)
        var text = listing.summary(status, unrouted: unrouted) + "\n\n"
        text += "  MSGS  RCPTS ACTIVE   HELD   OLDEST     NEXT DESTINATION\n"
        let sorted = threads.sorted { number($0, "recipients") > number($1, "recipients") }
        for thread in sorted.prefix(lines) { text += line(thread, now) + "\n" }
        if sorted.count > lines { text += "… and \(sorted.count - lines) more destinations\n" }
        return text
    }

    private static func number(_ value: JSONValue, _ key: String) -> Int { value[key]?.integer ?? 0 }

    private static func line(_ thread: JSONValue, _ now: Int) -> String {
        func right(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.count)) + text
        }
        let oldest = thread["oldest"]?.integer.map { QueueListing.age(now - $0) } ?? "-"
        let next = thread["next_attempt"]?.integer.map { $0 > now ? QueueListing.age($0 - now) : "now" } ?? "-"
        var text = right("\(number(thread, "messages"))", 6) + right("\(number(thread, "recipients"))", 7)
        text += right("\(number(thread, "active"))", 7) + right("\(number(thread, "held"))", 7)
        text += right(oldest, 9) + right(next, 9)
        text += " \(thread["channel"]?.string ?? "")/\(thread["host"]?.string ?? "")"
        let reply = [thread["status"]?.string ?? "", thread["last"]?.string ?? ""].filter { !$0.isEmpty }
        if !reply.isEmpty { text += "  \(reply.joined(separator: " "))" }
        return String(QueueListing.printable(text).prefix(200))
    }
}
