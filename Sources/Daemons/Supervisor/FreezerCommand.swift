import Configuration
import Freezer
import Glibc
import PolicyEngine
import Postoffice
import ProgramKit
import SpoolFormat
import Telemetry

/// What `zmailer freezer` does.
public enum FreezerCommand {
    /// What is done with messages that are named.
    public enum Action: Sendable { case release, drop, bounce }
    /// What is shown of a message.
    public enum Part: Sendable {
        /// Envelope, reason and header.
        case overview
        case header
        /// The message as it came, for a file or another program.
        case raw
    }

    /// Everything that matches, oldest first; with `json` one object a line. What cannot be read is told, and the rest is listed.
    public static func list(_ environment: ZEnvironment, _ filter: FreezerFilter, json: Bool) -> ExitCode {
        let freezer: Freezer
        switch open(environment, logs: false) {
        case .success(let opened): freezer = opened
        case .failure(let refusal): return refusal.tell()
        }
        let now = Int64(time(nil))
        let listing = FreezerListing(now: now)
        var code = ExitCode.ok
        do throws(Freezer.Failure) {
            for id in try freezer.messages() {
                do throws(Freezer.Failure) {
                    let message = try freezer.message(id)
                    guard filter.matches(message, now: now) else { continue }
                    Program.print(json ? listing.json(message) : listing.line(message))
                } catch {
                    // Somebody has taken it out meanwhile.
                    if case .notFrozen = error { continue }
                    code = tell(error)
                }
            }
        } catch {
            return tell(error)
        }
        return code
    }

    public static func show(_ environment: ZEnvironment, _ id: SpoolID, _ part: Part) -> ExitCode {
        if part == .raw, isatty(1) != 0 {
            Program.print(
                "zmailer: --raw is what a stranger has sent, as it is: not for a terminal, but for a file or a pipe",
                to: 2)
            return .usage
        }
        let freezer: Freezer
        switch open(environment, logs: false) {
        case .success(let opened): freezer = opened
        case .failure(let refusal): return refusal.tell()
        }
        do throws(Freezer.Failure) {
            switch part {
            case .overview:
                Program.print(FreezerListing(now: Int64(time(nil))).description(try freezer.message(id)))
            case .header: Program.print(TerminalText.lines(try freezer.message(id).header))
            case .raw: try freezer.copyContent(of: id, to: 1)
            }
            return .ok
        } catch {
            return tell(error, id)
        }
    }

    /// All of them, whatever becomes of one; the code is that of the first failure.
    public static func act(_ environment: ZEnvironment, _ action: Action, _ ids: [SpoolID]) -> ExitCode {
        let freezer: Freezer
        switch open(environment, logs: true) {
        case .success(let opened): freezer = opened
        case .failure(let refusal): return refusal.tell()
        }
        do throws(Freezer.Failure) {
            // A release that died is one that was wanted.
            try freezer.finishReleases()
        } catch {
            return tell(error)
        }
        var code = ExitCode.ok
        for id in ids {
            do throws(Freezer.Failure) {
                Program.print("\(id): \(try act(freezer, action, id))")
            } catch {
                let failure = tell(error, id)
                if code == .ok { code = failure }
            }
        }
        return code
    }

    private static func act(_ freezer: Freezer, _ action: Action, _ id: SpoolID) throws(Freezer.Failure) -> String {
        switch action {
        case .release:
            try freezer.release(id)
            return "released, to be routed"
        case .drop:
            try freezer.drop(id)
            return "dropped"
        case .bounce:
            guard let report = try freezer.bounce(id) else { return "dropped: its sender wants no reports" }
            return
                "reported to <\(TerminalText.escaped(report.to))> as \(report.id), recipients \(report.recipients); dropped"
        }
    }

    // MARK: The freezer of an instance

    /// Why nothing can be done.
    private struct Refusal: Error {
        /// `nil`: it was told already.
        let text: String?
        let code: ExitCode

        func tell() -> ExitCode {
            if let text { Program.print("zmailer: \(text)", to: 2) }
            return code
        }
    }

    /// As the owner of POSTOFFICE, whatever root has started. `logs`: something is about to be changed.
    private static func open(_ environment: ZEnvironment, logs: Bool) -> Result<Freezer, Refusal> {
        if let code = Control.refuseStranger("zmailer", environment) {
            return .failure(Refusal(text: nil, code: code))
        }
        let actor = self.actor
        do throws(ProcessIdentity.Failure) {
            try ProcessIdentity.becomeOwner(of: environment.postoffice)
        } catch {
            return .failure(Refusal(text: "POSTOFFICE \(error)", code: .osFile))
        }
        let postoffice: Postoffice
        do throws(PostofficeError) { postoffice = try Postoffice(environment.postoffice) } catch {
            return .failure(
                Refusal(text: "POSTOFFICE \(error)", code: error.kind == .notOwner ? .noPermission : .osFile))
        }
        let configuration: MailConfiguration
        do throws(ConfigurationErrors) { configuration = try MailConfiguration(environment) } catch {
            return .failure(Refusal(text: error.description, code: .configuration))
        }
        // What is done is in the log, or is not done.
        let log: EventLog
        do throws(EventLogError) {
            log =
                logs
                ? try EventLog(program: "zmailer", destination: .file("\(environment.logdir)/freezer"))
                : EventLog(standardErrorOf: "zmailer")
        } catch {
            return .failure(Refusal(text: error.description, code: .cannotCreate))
        }
        return .success(
            Freezer(
                postoffice: postoffice, hostName: configuration.hostName, mailshare: environment.mailshare,
                languages: environment.formLanguages, log: log,
                actor: actor))
    }

    /// Who has called us, for the log.
    private static var actor: String {
        let uid = getuid()
        var name = "uid \(uid)"
        do throws(SystemAccount.Failure) {
            if let account = try SystemAccount.with(uid: uid) { name = account.name }
        } catch {
            // The number says it too.
        }
        guard uid == 0, let user = getenv("SUDO_USER") else { return name }
        return "\(name) (sudo \(String(cString: user)))"
    }

    private static func tell(_ failure: Freezer.Failure, _ id: SpoolID? = nil) -> ExitCode {
        let text = TerminalText.escaped(failure.description)
        switch failure {
        case .notFrozen: Program.print("zmailer: \(text); zmailer freezer list shows what is", to: 2)
        case .noSender, .noMessage, .busy, .spool:
            Program.print("zmailer: \(id.map { "\($0): " } ?? "")\(text)", to: 2)
        }
        switch failure {
        case .notFrozen: return .noInput
        case .noSender, .noMessage: return .dataError
        case .busy: return .temporaryFailure
        case .spool(let error):
            switch error.kind {
            case .full: return .cannotCreate
            case .notOwner: return .noPermission
            case .readOnly, .missing, .exists, .notFound, .system: return .ioError
            }
        }
    }
}
