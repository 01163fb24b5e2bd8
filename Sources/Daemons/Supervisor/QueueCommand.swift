import AgentProtocol
import Configuration
import Glibc
import MailModel
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

    /// What is meant of the queue, as ``list(_:json:threads:)`` shows it.
    public static func select(_ environment: ZEnvironment, _ filter: QueueFilter, json: Bool) -> ExitCode {
        let listing = QueueListing(now: time(nil))
        var count = 0
        let code = QueueControl.ask(environment, ["select"], filter.fields) { value in
            count += 1
            Program.print(json ? value.text : listing.message(value))
        }
        if code == .ok, !json { Program.print("messages: \(count)") }
        return code == .ok && count == 0 && !filter.ids.isEmpty ? .noInput : code
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

    /// Starts what an ETRN for `target` would start. Exit code 0 also if nothing waits for it.
    public static func etrn(_ environment: ZEnvironment, target: ETRNTarget, json: Bool) -> ExitCode {
        if let code = Control.refuseStranger("zmailer", environment) { return code }
        do throws(QueueClient.Failure) {
            try QueueClient(environment).ask(.etrn, argument: target.description) { value in
                guard !json else { return Program.print(value.text) }
                let threads = value["threads"]?.integer ?? 0
                Program.print(
                    threads == 0
                        ? "nothing waits for \(target)"
                        : "messages to be tried now: \(value["started"]?.integer ?? 0), destinations: \(threads)")
            }
            return .ok
        } catch {
            Program.print("zmailer: \(error)", to: 2)
            return .unavailable
        }
    }

    /// The same at another scheduler, by mailq. The password is the first line of `passwordFile` (`-`: of standard input).
    public static func etrn(
        at node: MailqClient.Node, target: ETRNTarget, user: String, passwordFile: String
    ) -> ExitCode {
        let octets: [UInt8]
        do throws(FileOctets.Failure) {
            octets = try FileOctets.read(passwordFile == "-" ? "/dev/stdin" : passwordFile, limit: 4096)
        } catch {
            Program.print("zmailer: \(error)", to: 2)
            return .noInput
        }
        let password = octets.prefix { $0 != 0x0a && $0 != 0x0d }
        do throws(MailqClientSession.Failure) {
            let answer = try MailqClient(node).etrn(target, user: user, password: Octets.text(password))
            Program.print("\(node): \(QueueListing.printable(answer.text))")
            return .ok
        } catch {
            Program.print("zmailer: \(node): \(QueueListing.printable(error.description))", to: 2)
            return switch error {
            case .noAccess, .notAuthenticated, .refused, .notShown: .noPermission
            case .closed, .timedOut, .unreachable: .temporaryFailure
            case .notMailq, .oldVersion, .lineTooLong, .noDigest: .protocol
            }
        }
    }
}
