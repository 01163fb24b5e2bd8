import AgentProtocol
import Glibc
import SpoolFormat
import Telemetry

/// One line for each result as the agent saw it, at level debug: the scheduler logs every result it records.
public enum DeliveryLog {
    /// `delay` is the age of the message; `relay` the next hop.
    public static func observer(_ log: EventLog) -> ResultObserver {
        { control, recipient, result, relay in
            log.debug(
                "delivery",
                [
                    "queue-id": "\(control.id)", "to": recipient.address, "from": from(control, recipient),
                    "relay": relay, "tls": result.tls.isEmpty ? "-" : result.tls,
                    "delay": Delay(since: control.id.milliseconds).text, "dsn": result.status,
                    "stat": result.logWord, "text": result.text,
                ])
        }
    }

    private static func from(_ control: ControlFile, _ recipient: JobRecipient) -> String {
        control.groups[recipient.group].sender.user
    }
}

/// Seconds with two decimals.
struct Delay {
    let text: String

    /// `milliseconds` since 1970; a moment in the future counts as now.
    init(since milliseconds: Int64) {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        self.init(milliseconds: max(0, Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000 - milliseconds))
    }

    init(milliseconds: Int64) {
        let hundredths = milliseconds / 10 % 100
        text = "\(milliseconds / 1000).\(hundredths < 10 ? "0" : "")\(hundredths)"
    }
}
