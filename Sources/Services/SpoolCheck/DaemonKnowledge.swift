import ChildProcesses
import Glibc
import ProgramKit
import SpoolFormat

/// What a running daemon says of the messages that it has (`audit`, docs/protocols.md §5).
struct DaemonKnowledge: Sendable {
    enum State: Hashable, Sendable {
        /// It does not run: what is there waits for its start, when it looks through the spool.
        case down
        /// It runs and has said what it knows.
        case answered
        /// It runs and is still reading what is there: what it does not know yet says nothing.
        case loading
        /// It runs and does not answer, and why.
        case silent(String)
    }

    private(set) var state: State
    /// Messages that it has.
    private(set) var known: Set<SpoolID> = []
    /// Those for which it has nothing planned, and what is missing.
    private(set) var unattended: [SpoolID: String] = [:]

    init(_ state: State, known: Set<SpoolID> = [], unattended: [SpoolID: String] = [:]) {
        self.state = state
        self.known = known
        self.unattended = unattended
    }

    /// Seconds for the whole answer.
    static let patience: Int64 = 120

    /// Asks the daemon that holds `pidFile`. Blocks.
    init(pidFile: String, socket: String) {
        state = .down
        guard PidFile.holder(pidFile) != nil else { return }
        var strange: String?
        do throws(UnixSocket.Failure) {
            try UnixDialogue.ask(socket, "audit\n", milliseconds: Self.patience * 1000) { line in
                switch AuditLine(line) {
                case .end(let isLoading): state = isLoading ? .loading : .answered
                case .message(let id, let problem):
                    known.insert(id)
                    if let problem { unattended[id] = problem }
                case nil:
                    if strange == nil { strange = String(decoding: line.prefix(80), as: UTF8.self) }
                }
            }
        } catch {
            // It may have ended in between: then it is down, and its successor will look through the spool.
            state = PidFile.holder(pidFile) == nil ? .down : .silent(error.description)
            return
        }
        if strange != nil || state == .down {
            state =
                PidFile.holder(pidFile) == nil
                ? .down : .silent("its answer cannot be read: \(strange ?? "it has no end")")
        }
    }

    /// Whether what it does not know is a stray.
    var judges: Bool { state == .answered }
    var isDown: Bool { state == .down }
}

/// A line of the answer to `audit`: `<id> ok`, `<id> <what is missing>`, and last `end ready` or `end loading`.
public enum AuditLine: Hashable, Sendable {
    case message(SpoolID, problem: String?)
    case end(isLoading: Bool)

    public init?(_ line: some Collection<UInt8>) {
        let text = String(decoding: line, as: UTF8.self)
        guard let blank = text.firstIndex(of: " ") else { return nil }
        let word = text[..<blank]
        let rest = text[text.index(after: blank)...]
        if word == "end" {
            guard rest == "ready" || rest == "loading" else { return nil }
            self = .end(isLoading: rest == "loading")
        } else {
            guard let id = SpoolID(word), !rest.isEmpty else { return nil }
            self = .message(id, problem: rest == "ok" ? nil : String(rest))
        }
    }

    /// With its LF.
    public var text: String {
        switch self {
        case .message(let id, let problem): "\(id) \(problem ?? "ok")\n"
        case .end(let isLoading): isLoading ? "end loading\n" : "end ready\n"
        }
    }
}
