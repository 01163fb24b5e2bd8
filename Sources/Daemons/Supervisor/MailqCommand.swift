import AgentProtocol
import Configuration
import Glibc
import MailModel
import ProgramKit

/// `mailq` with ZMailer's flags: at our own scheduler's socket, or by mailq's version 2 at another one.
public enum MailqCommand {
    /// One of ZMailer's lists, the words behind `SHOW`.
    public enum List: Hashable, Sendable {
        case snmp, short, threads, threadFields, counters
        case thread(channel: String, host: String)

        public var words: String {
            switch self {
            case .snmp: "SNMP"
            case .short: "QUEUE SHORT"
            case .threads: "QUEUE THREADS"
            case .threadFields: "QUEUE THREADS2"
            case .counters: "COUNTERS"
            case .thread(let channel, let host): "THREAD \(channel) \(host)"
            }
        }

        /// `-Q` once, twice, three times and more.
        public init(queue count: Int) { self = count == 1 ? .short : count == 2 ? .threads : .threadFields }
    }

    /// `lines`: no more than so many; `isRaw`: as it comes, for a program.
    public static func list(
        _ environment: ZEnvironment, _ list: List, lines: Int = .max, isRaw: Bool = false
    ) -> ExitCode {
        if let code = Control.refuseStranger("mailq", environment) { return code }
        var count = 0
        do throws(QueueClient.Failure) {
            try QueueClient(environment).ask(line: "mailq \(list.words)") { value in
                count += 1
                guard count <= lines else { return }
                let line = value["line"]?.string ?? ""
                Program.print(isRaw ? value.text : printable(line))
            }
            return .ok
        } catch {
            Program.print("mailq: \(QueueListing.printable(error.description))", to: 2)
            if case .refused = error { return .usage }
            return .unavailable
        }
    }

    /// At another scheduler. The password is the first line of `passwordFile` (`-`: of standard input).
    public static func list(
        at node: MailqClient.Node, _ list: List, user: String, passwordFile: String, lines: Int = .max
    ) -> ExitCode {
        let octets: [UInt8]
        do throws(FileOctets.Failure) {
            octets = try FileOctets.read(passwordFile == "-" ? "/dev/stdin" : passwordFile, limit: 4096)
        } catch {
            Program.print("mailq: \(error)", to: 2)
            return .noInput
        }
        let password = Octets.text(octets.prefix { $0 != 0x0a && $0 != 0x0d })
        var count = 0
        do throws(MailqClientSession.Failure) {
            try MailqClient(node).list(list.words, user: user, password: password) { line in
                count += 1
                if count <= lines { Program.print(printable(line)) }
            }
            return .ok
        } catch {
            Program.print("mailq: \(node): \(QueueListing.printable(error.description))", to: 2)
            return switch error {
            case .noAccess, .notAuthenticated, .refused, .notShown: .noPermission
            case .closed, .timedOut, .unreachable: .temporaryFailure
            case .notMailq, .oldVersion, .lineTooLong, .noDigest: .protocol
            }
        }
    }

    /// TABs are ZMailer's.
    private static func printable(_ line: String) -> String {
        line.split(separator: "\t", omittingEmptySubsequences: false).map { QueueListing.printable(String($0)) }
            .joined(separator: "\t")
    }
}
