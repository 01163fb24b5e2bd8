import Configuration
import Glibc
import MailModel
import Policy
import PolicyAsking
import PolicyEngine
import ProgramKit
import Resolver
import SMTPProtocol
import Telemetry

/// `smtpserver -i -T '[192.0.2.1]'`: a session on standard input and output as if from that address (smtpserver.md §13).
///
/// The policy is evaluated in this process, by the service's code; no daemon need run, the spool is not touched, and whoever
/// can read configuration and tables may do it.
enum PolicyTestSession {
    static func run(_ settings: Settings, client: IPAddress) -> Never {
        signal(SIGPIPE, SIG_IGN)
        let showsSteps = settings.options.debugLevel > 0
        // What the service would log goes to standard error, beside the dialogue.
        let log = EventLog(standardErrorOf: "smtpserver", level: .warning)
        let engine: PolicyEngine
        do {
            engine = try PolicyEngine(
                try MailConfiguration(settings.environment, postoffice: settings.postoffice), log: log)
        } catch {
            Program.fail("smtpserver: \(error)", .configuration)
        }
        let echoes = settings.options.echoesCommands
        let profile = settings.localProfile
        var dialogue = PolicyDialogue(
            settings.configuration, client.isLoopback ? profile.localSession : profile.session, client: client,
            sessionID: "test-\(getpid())"
        ) { question in
            let answer = engine.answer(question, settings.asker)
            if showsSteps, question.verb != .disconnect { show(answer) }
            return answer
        }
        var replies: [UInt8] = []
        var isOpen = dialogue.connect(unixTime: Int64(time(nil)), into: &replies)
        var input = InputLines()
        while write(&replies), isOpen {
            guard let line = input.next() else {
                dialogue.disconnect()
                exit(input.hasFailed ? ExitCode.ioError.rawValue : 0)
            }
            if echoes { replies += line }
            isOpen = dialogue.receive(line, into: &replies)
        }
        dialogue.disconnect()
        exit(isOpen ? ExitCode.ioError.rawValue : 0)
    }

    /// The steps to an answer, before the reply that it leads to.
    private static func show(_ answer: PolicyAnswer) {
        var steps = answer.steps
        // An answer of the engine alone (trouble, too late) has no way to tell of.
        if steps.last?.kind != .verdict { steps.append(PolicyStep(.verdict, answer.verdict.rawValue, answer.reason)) }
        for step in steps { Program.print(step.debugLine) }
    }

    /// `false`: standard output failed.
    private static func write(_ replies: inout [UInt8]) -> Bool {
        var done = 0
        while done < replies.count {
            let count = replies.withUnsafeBytes { Glibc.write(1, $0.baseAddress! + done, $0.count - done) }
            if count < 0, errno != EINTR { return false }
            done += max(0, count)
        }
        replies.removeAll(keepingCapacity: true)
        return true
    }
}

/// Standard input, line by line, so that what a command leads to is shown before the next one is taken.
private struct InputLines {
    /// Octets of a line; longer ones are handed on in parts.
    private static let limit = 64 << 10

    private var buffer: [UInt8] = []
    private var isAtEnd = false
    private(set) var hasFailed = false

    /// With CRLF, where a terminal sends LF, which strict sessions refuse. `nil`: there is no more.
    mutating func next() -> [UInt8]? {
        while true {
            if let newline = buffer.firstIndex(of: 0x0a) { return take(newline + 1) }
            if buffer.count >= Self.limit || isAtEnd { return buffer.isEmpty ? nil : take(buffer.count) }
            var chunk = [UInt8](repeating: 0, count: 4096)
            let count = read(0, &chunk, chunk.count)
            if count > 0 {
                buffer += chunk[..<count]
            } else if count == 0 || errno != EINTR {
                isAtEnd = true
                hasFailed = count < 0
            }
        }
    }

    private mutating func take(_ count: Int) -> [UInt8] {
        defer { buffer.removeFirst(count) }
        let line = buffer[..<count]
        guard line.last == 0x0a, line.dropLast().last != 0x0d else { return Array(line) }
        return line.dropLast() + [0x0d, 0x0a]
    }
}
