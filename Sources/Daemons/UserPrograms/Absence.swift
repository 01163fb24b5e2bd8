import Configuration
import Glibc
import LocalSubmission
import MailModel
import ProgramKit
import SMTPProtocol
import Submission
import Tables

/// A user who is away.
struct Absence {
    let options: VacationArguments
    let environment: ZEnvironment
    let user: UserIdentity

    init(_ options: VacationArguments, _ environment: ZEnvironment, _ user: UserIdentity) {
        self.options = options
        self.environment = environment
        self.user = user
    }

    private var databasePath: String { path(options.databaseFile, ".vacation.db") }
    private var messagePath: String { path(options.messageFile, ".vacation.msg") }

    private func path(_ given: String?, _ name: String) -> String {
        guard let given else { return "\(user.home)/\(name)" }
        return given.hasPrefix("/") ? given : "\(user.home)/\(given)"
    }

    // MARK: the database

    private func opened(_ body: (inout AbsenceDatabase) throws(GDBMFailure) -> ExitCode) -> ExitCode {
        guard let lock = AbsenceLock(beside: databasePath) else {
            Program.print("vacation: \(databasePath).lock: \(String(cString: strerror(errno)))", to: 2)
            return .cannotCreate
        }
        defer { withExtendedLifetime(lock) {} }
        do throws(GDBMFailure) {
            var database = try AbsenceDatabase(reading: databasePath) { Program.print("vacation: \($0)", to: 2) }
            return try body(&database)
        } catch {
            Program.print("vacation: \(error)", to: 2)
            return .cannotCreate
        }
    }

    func initialize() -> ExitCode {
        opened { (database) throws(GDBMFailure) in
            database = AbsenceDatabase(path: databasePath)
            database.interval = options.interval
            try database.write()
            return .ok
        }
    }

    func list() -> ExitCode {
        opened { (database) throws(GDBMFailure) in
            for name in database.excluded.sorted() { Program.print("\(TextLine.printable(name)) is never told") }
            for (address, time) in database.told.sorted(by: { ($0.value, $0.key) < ($1.value, $1.key) }) {
                Program.print("\(TextLine.printable(address)) \(CalendarDate(unixTime: time).rfc5322)")
            }
            return .ok
        }
    }

    func exclude() -> ExitCode {
        let lines = Octets.split(Input.all(limit: 1 << 22)[...], at: 0x0a)
        return opened { (database) throws(GDBMFailure) in
            for line in lines {
                let word = asciiLowercased(Octets.text(line).filter { $0 != " " && $0 != "\t" && $0 != "\r" })
                guard !word.isEmpty else { continue }
                guard Mailbox(word) != nil || (word.hasPrefix("@") && MailDomain(word.dropFirst()) != nil) else {
                    Program.print(
                        "vacation: -x: '\(word)' is no address; valid are user@example.org, @example.org", to: 2)
                    return .dataError
                }
                guard database.exclude(word) else {
                    Program.print(
                        "vacation: -x: more than \(AbsenceDatabase.maximumEntries) addresses, and nothing was changed; "
                            + "a domain is written @example.org", to: 2)
                    return .dataError
                }
            }
            try database.write()
            return .ok
        }
    }

    // MARK: an answer

    func answer() -> ExitCode {
        let (octets, isComplete) = Input.head(limit: AbsenceRules.maximumHeaderSize)
        let start = MailboxLine(octets)
        let header = HeaderSection(octets, from: start.end)
        guard isComplete || header.end < octets.count else { return silent(.headerTooLarge) }
        let sender = options.sender ?? environmentSender ?? start.sender ?? returnPath(header) ?? ""
        var rules = AbsenceRules(
            names: [user.name, user.address, "\(user.name)@\(user.host)"] + options.aliases)
        rules.answersUnaddressed = options.answersUnaddressed
        // Under the lock from here on: what is decided rests on what the database says.
        guard let lock = AbsenceLock(beside: databasePath) else {
            return silent("\(databasePath).lock: \(String(cString: strerror(errno)))", isTrouble: true)
        }
        defer { withExtendedLifetime(lock) {} }
        var database: AbsenceDatabase
        do throws(GDBMFailure) {
            database = try AbsenceDatabase(reading: databasePath) { tell($0, isTrouble: true) }
        } catch {
            return silent("\(error)", isTrouble: true)
        }
        rules.excluded = database.excluded
        switch rules.verdict(sender: sender, header: header) {
        case .silent(let silence): return silent(silence)
        case .answer(let recipient): return answer(recipient, header, &database)
        }
    }

    private func answer(
        _ recipient: Mailbox, _ header: HeaderSection, _ database: inout AbsenceDatabase
    ) -> ExitCode {
        let now = Int64(time(nil))
        let address = asciiLowercased(recipient.description)
        let interval = options.interval ?? database.interval ?? VacationArguments.standardInterval
        // A time in the future is a clock that was wrong: it must not last for ever.
        if let told = database.told[address], told <= now, now - told < interval {
            return silent("<\(recipient)> was told on \(CalendarDate(unixTime: told).rfc5322)")
        }
        let text: [UInt8]
        do throws(FileOctets.Failure) {
            text = try FileOctets.read(messagePath, limit: AbsenceReply.maximumTextSize)
        } catch {
            return silent("\(error)", isTrouble: true)
        }
        let author =
            user.fullName.isEmpty ? user.address : "\(DisplayName.encoded(user.fullName)) <\(user.address)>"
        let reply = AbsenceReply(
            text: text, author: author, recipient: recipient, date: CalendarDate(unixTime: now).rfc5322,
            messageID: MessageName.new(host: user.host)
        ).composed(answering: header)
        // Before it goes: who cannot be remembered would be told each time.
        let before = database
        database.tell(address, at: now)
        do throws(GDBMFailure) { try database.write() } catch { return silent("\(error)", isTrouble: true) }
        if !submit(reply, to: recipient) {
            do throws(GDBMFailure) { try before.write() } catch { tell("\(error)", isTrouble: true) }
        }
        return .ok
    }

    /// From `<>`, so that nothing comes back (RFC 3834 §3.3). `false`: nobody was told, which is all: the message that is answered was
    /// delivered, and its sender must get no report for an answer that he will miss.
    private func submit(_ reply: [UInt8], to recipient: Mailbox) -> Bool {
        let content = MessageStore()
        var envelope = SubmissionClient.Envelope(
            reversePath: .null, recipients: [ClientMessage.Recipient(.mailbox(recipient), notify: .never)])
        envelope.has8Bit = reply.contains { $0 >= 0x80 }
        do throws(MessageStore.Failure) { try content.append(reply) } catch {
            tell("<\(recipient)> could not be told: \(error)", isTrouble: true)
            return false
        }
        let client = SubmissionClient(path: environment.submissionSocket, helloName: user.host)
        do throws(SubmissionFailure) {
            let answers = try client.submit(envelope, content)
            guard let answer = answers.first, !answer.isPositive else {
                tell("<\(recipient)> was told", isTrouble: false)
                return true
            }
            tell("<\(recipient)> could not be told: \(answer.summary)", isTrouble: true)
        } catch {
            tell("<\(recipient)> could not be told: \(error)", isTrouble: true)
        }
        return false
    }

    /// `SENDER` of the mailbox agent.
    private var environmentSender: String? { Program.variable("SENDER") }

    private func returnPath(_ header: HeaderSection) -> String? {
        header.value("Return-Path").map { value in
            String(value.drop { $0 == "<" || $0 == " " }.prefix { $0 != ">" })
        }
    }

    // MARK: words

    private func silent(_ silence: AbsenceRules.Silence) -> ExitCode { silent(silence.description) }

    private func silent(_ reason: String, isTrouble: Bool = false) -> ExitCode {
        tell("nobody is told: \(reason)", isTrouble: isTrouble)
        return .ok
    }

    /// With -d on standard output; syslog has it in any case, trouble as such.
    private func tell(_ text: String, isTrouble: Bool) {
        let line = TextLine.printable(text)
        if options.isVerbose { Program.print("vacation: \(line)") }
        SystemLog.write("\(user.name): \(line)", isTrouble: isTrouble)
    }
}
