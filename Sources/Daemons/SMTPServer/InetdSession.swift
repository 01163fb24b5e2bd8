import Configuration
import Glibc
import MailModel
import NIOCore
import PolicyAsking
import Postoffice
import ProgramKit
import Telemetry
import TransportSecurity

/// `smtpserver -n`: the one session of the socket that inetd, or a socket unit with `Accept=yes`, has made standard input
/// (smtpserver.md §1.2).
///
/// It is a session as those of the daemon are, and asks the same policy service. AUTH asks the checkers of the daemon, if one runs
/// on the same POSTOFFICE; what is root's here is given up before the first octet of the client is read.
enum InetdSession {
    static func run(_ settings: Settings) -> Never {
        signal(SIGPIPE, SIG_IGN)
        guard let own = ListeningSocket.localPort(of: 0) else {
            Program.fail("smtpserver: -n: standard input is no network socket; inetd and systemd make it one", .usage)
        }
        // Whatever is said there would be said to the client.
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        dup2(null, 1)
        if ListeningSocket.localPort(of: 2) != nil { dup2(null, 2) }
        let plan = TLSPlan(settings)
        do {
            let bundle = try plan.read()
            try ProcessIdentity.becomeOwner(of: settings.postoffice)
            ProcessIdentity.forbidDumps()
            let log = Program.log(
                "smtpserver", settings.environment, file: settings.options.eventLogFile,
                isForeground: settings.options.isForeground, debug: settings.options.debugLevel > 0)
            let tls = plan.isEmpty ? nil : try TLSContexts(plan, bundle, threads: 1)
            let worker = try Worker(
                settings, log: log, sessionLog: try SessionLog.wanted(by: settings),
                timeouts: Timeouts(settings.configuration), threads: 1, poolThreads: 1, tls: tls)
            let service: SMTPServerConfiguration.Listener.Service = settings.options.startsTLS ? .smtps : .smtp
            // A copy: NIO closes what it is given.
            try worker.converse(dup(0), ListenerRole(service: service, port: own)).wait()
            worker.shutDown()
            exit(0)
        } catch {
            Program.fail("smtpserver: \(error)", .osError)
        }
    }
}
