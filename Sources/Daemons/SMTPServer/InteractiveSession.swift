import Configuration
import Glibc
import MailModel
import PolicyAsking
import Postoffice
import ProgramKit
import SMTPProtocol
import SpoolFormat
import Telemetry

/// `smtpserver -i`: one session on standard input and output, for a local user or a BSMTP batch (smtpserver.md §1.3).
///
/// The client is whoever may write to the spool: nothing is asked of the policy service, every recipient is taken, and
/// the mail counts as submitted by a local program.
enum InteractiveSession {
    static func run(_ settings: Settings) -> Never {
        signal(SIGPIPE, SIG_IGN)
        if ListeningSocket.localPort(of: 0) != nil {
            Program.fail("smtpserver: -i on a network socket would serve a stranger as a local user", .usage)
        }
        do throws(ProcessIdentity.Failure) {
            // A message of root's would be in the spool for good: the router could not read it.
            try ProcessIdentity.becomeOwner(of: settings.postoffice)
        } catch {
            Program.fail("smtpserver: \(error)", .noPermission)
        }
        let log = Program.log(
            "smtpserver", settings.environment, file: settings.options.eventLogFile,
            isForeground: settings.options.isForeground,
            debug: settings.options.debugLevel > 0)
        do {
            let sessionLog = try SessionLog.wanted(by: settings)
            let intake = try Intake(settings, pool: BlockingPool(threads: 0), log: log)
            intake.conditions.look(countsQueue: true)
            var session = Session(settings, intake, sessionLog)
            exit(session.run().rawValue)
        } catch {
            Program.fail("smtpserver: \(error)", .osFile)
        }
    }

    private struct Session {
        let settings: Settings
        let intake: Intake
        let sessionLog: SessionLog?
        let tag: SessionLog.Tag?
        let sessionID: String
        var session: ServerSession
        var message: IncomingMessage?

        init(_ settings: Settings, _ intake: Intake, _ sessionLog: SessionLog?) {
            self.settings = settings
            self.intake = intake
            self.sessionLog = sessionLog
            tag = sessionLog?.newTag(client: "stdin")
            sessionID = String(intake.postoffice.newID().rawValue, radix: 36)
            session = ServerSession(
                configuration: settings.localProfile.localSession, peer: ServerSession.Peer(literal: "stdin"))
        }

        private var wantsTranscript: Bool { sessionLog != nil || settings.options.echoesCommands }

        /// What the program's exit status is to be.
        mutating func run() -> ExitCode {
            var replies = greet()
            var ends = InputLineEnds()
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            while true {
                guard write(&replies) else { return .ioError }
                let count = read(0, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return count == 0 ? end(&replies, rest: ends.rest) : .ioError }
                let wasKnown = ends.isLineFeed != nil
                let octets = ends.normalized(buffer[..<count])
                if !wasKnown, ends.isLineFeed == true { forbidChunks() }
                let isOpen = octets.withUnsafeBytes { receive($0, &replies) }
                if !isOpen { return write(&replies) ? .ok : .ioError }
            }
        }

        private mutating func greet() -> [UInt8] {
            // Echo of -v and the session log both need the lines.
            if wantsTranscript { session.transcript = session.transcript ?? [] }
            var replies: [UInt8] = []
            let lines = Greeting.lines(
                settings.configuration, hostName: settings.hostName, peer: "stdin", localPort: 0,
                date: CalendarDate(unixTime: Int64(time(nil))).rfc5322)
            session.greet(.welcome(lines), into: &replies)
            return replies
        }

        /// Where line ends are ours the octets of a chunk cannot be counted. Before the first command.
        private mutating func forbidChunks() {
            var values = settings.localProfile.localSession.values
            values.extensions.remove(.chunking)
            session = ServerSession(
                configuration: ServerConfiguration(values), peer: ServerSession.Peer(literal: "stdin"))
            // It is said already.
            _ = greet()
            if wantsTranscript { session.transcript = [] }
        }

        /// The input is over, without QUIT. A message that has no end is lost, which the sender must hear of.
        private mutating func end(_ replies: inout [UInt8], rest: [UInt8]) -> ExitCode {
            _ = rest.withUnsafeBytes { receive($0, &replies) }
            guard write(&replies) else { return .ioError }
            guard message != nil else { return .ok }
            Program.print("smtpserver: the input ends in the middle of a message, which is not stored", to: 2)
            return .dataError
        }

        /// `false`: the session is over.
        private mutating func receive(_ octets: UnsafeRawBufferPointer, _ replies: inout [UInt8]) -> Bool {
            var used = 0
            while true {
                let view = UnsafeRawBufferPointer(rebasing: octets[used...])
                let step = session.receive(view, into: &replies)
                used += step.consumed
                switch step.action {
                case .needInput: return true
                case .awaitAnswer: preconditionFailure("every question of an interactive session is answered at once")
                case .ask(let question): decide(question, &replies)
                case .beginMessage(let transaction): begin(transaction, &replies)
                case .content(let range):
                    message?.append(UnsafeRawBufferPointer(rebasing: view[range]))
                    spillIfNeeded(&replies)
                case .insertedContent(let inserted):
                    message?.append(inserted)
                    spillIfNeeded(&replies)
                case .endMessage(let summary): end(summary, &replies)
                case .discardMessage: message = nil
                // There is no network to have TLS on: it is not offered here.
                case .startTLS, .close: return false
                }
            }
        }

        private mutating func decide(_ question: ServerSession.Question, _ replies: inout [UInt8]) {
            switch question {
            case .hello, .recipient:
                session.answer(.accept, into: &replies)
            case .sender(let mail):
                let obstacle = intake.obstacle(size: mail.size ?? 0)
                session.answer(obstacle.map { .reply($0.reply) } ?? .accept, into: &replies)
            case .verify, .expand:
                // There is no router at hand: the session's own words for "not verified".
                session.answer(.accept, into: &replies)
            case .authentication, .startQueue, .changeClient, .debug:
                let text = "Not in a session on standard input"
                session.answer(.reply(Reply(502, EnhancedStatusCode(5, 5, 1), text)), into: &replies)
            }
        }

        private mutating func begin(_ transaction: Transaction, _ replies: inout [UInt8]) {
            let trace = Trace(
                clientName: "stdin", clientLiteral: "uid#\(getuid())@localhost", clientPort: 0, hello: session.hello,
                hostName: settings.hostName,
                protocolName: Trace.protocolName(
                    hello: session.hello, isLMTP: settings.configuration.isLMTP,
                    isSMTPUTF8: transaction.mail.isSMTPUTF8,
                    isBSMTP: settings.options.isBSMTP || session.isBatch))
            let now = Int64(time(nil))
            message = IncomingMessage(
                transaction, id: intake.postoffice.newID(), trace: trace, date: CalendarDate(unixTime: now).rfc5322,
                submission: .local, extras: IncomingMessage.Extras(arrived: now, isTrusted: true), begun: 0,
                intake: intake)
            session.answer(.accept, into: &replies)
        }

        private mutating func spillIfNeeded(_ replies: inout [UInt8]) {
            guard let message, message.needsSpill else { return }
            do throws(PostofficeError) {
                message.draft = try intake.spill(message.id, message.draft, message.takeOctets())
            } catch {
                self.message = nil
                session.messageFailed(intake.refusal(error, session: sessionID), into: &replies)
            }
        }

        private mutating func end(_ summary: MessageSummary, _ replies: inout [UInt8]) {
            guard let message else { return }
            let (octets, traits) = message.finish(summary)
            do throws(PostofficeError) {
                try intake.commit(
                    message.record(session: sessionID, client: "stdin"), message.draft, octets, traits: traits)
                session.messageStored(as: message.id.description, into: &replies)
            } catch {
                session.messageFailed(intake.refusal(error, session: sessionID), into: &replies)
            }
            self.message = nil
        }

        /// Writes what is there, echoing commands before their replies when asked to.
        private mutating func write(_ replies: inout [UInt8]) -> Bool {
            var out = replies
            replies.removeAll(keepingCapacity: true)
            if let entries = session.transcript, !entries.isEmpty {
                if let tag { sessionLog?.write(tag, entries) }
                session.transcript = []
                if settings.options.echoesCommands {
                    out = []
                    for entry in entries {
                        switch entry {
                        case .received(let line), .sent(let line): out.append(contentsOf: (line + "\r\n").utf8)
                        }
                    }
                }
            }
            var done = 0
            while done < out.count {
                let count = out.withUnsafeBytes { Glibc.write(1, $0.baseAddress! + done, $0.count - done) }
                if count < 0, errno != EINTR { return false }
                done += max(0, count)
            }
            return true
        }
    }
}

/// The line ends of standard input. Files and terminals of this host have LF, a batch from elsewhere may have CRLF; what the first
/// line ends with holds for all, so that a lone LF in a message with CRLF stays what it is.
struct InputLineEnds {
    /// Octets without any line end, after which it is CRLF that is waited for.
    private static let limit = 64 << 10

    /// `nil`: no line was there yet.
    private(set) var isLineFeed: Bool?
    /// The beginning of the first line.
    private(set) var rest: [UInt8] = []
    private var last: UInt8 = 0

    /// With CRLF; empty while the first line is not complete.
    mutating func normalized(_ input: ArraySlice<UInt8>) -> [UInt8] {
        var octets = Array(input)
        if isLineFeed == nil {
            octets = rest + octets
            rest = []
            if let end = octets.firstIndex(of: 0x0a) {
                isLineFeed = end == 0 || octets[end - 1] != 0x0d
            } else if octets.count > Self.limit {
                isLineFeed = false
            } else {
                rest = octets
                return []
            }
        }
        guard isLineFeed == true else { return octets }
        var result: [UInt8] = []
        result.reserveCapacity(octets.count + octets.count / 16)
        for octet in octets {
            if octet == 0x0a, last != 0x0d { result.append(0x0d) }
            result.append(octet)
            last = octet
        }
        return result
    }
}
