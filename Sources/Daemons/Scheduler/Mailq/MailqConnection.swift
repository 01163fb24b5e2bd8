import AgentProtocol
import Glibc
import MailModel

/// One connection of ``MailqService``: its session, what is on its way to it, and until when it may stay. Times are
/// milliseconds of the steady clock.
final class MailqConnection {
    let descriptor: Int32
    /// `nil`: over a Unix socket.
    let client: IPAddress?
    var session: MailqServerSession
    /// Of the account, for the log.
    var user = ""
    var failures = 0
    private var output = OutputBuffer()
    private var answer: QueueSocket.Answer?
    /// Nothing more is read; it ends when everything is written.
    private(set) var closes = false
    /// What waits for its time, and that time: the answer to a wrong password.
    var delayed: (action: MailqServerSession.Action, time: Int64)?
    /// What it has asked for is being done: it stays until that is answered.
    private(set) var isWaiting = false
    private var end: Int64
    private var quietEnd: Int64

    /// Milliseconds: to log in; to the next command, or to take more of an answer; in all, or since the last answer that took its time.
    static let loginTime: Int64 = 30_000
    static let quietTime: Int64 = 90_000
    static let longestTime: Int64 = 600_000

    init(_ descriptor: Int32, client: IPAddress?, nonce: String, now: Int64) {
        self.descriptor = descriptor
        self.client = client
        session = MailqServerSession(nonce: nonce)
        end = now + Self.longestTime
        quietEnd = now + Self.loginTime
        output.append(session.greeting)
    }

    /// Version 1: everything, and then the end.
    init(_ descriptor: Int32, client: IPAddress?, dump: @escaping QueueSocket.Answer, now: Int64) {
        self.descriptor = descriptor
        self.client = client
        session = MailqServerSession(nonce: "")
        end = now + Self.longestTime
        quietEnd = now + Self.loginTime
        isDump = true
        answer = dump
        closes = true
    }

    /// Of version 1: it only reads.
    private var isDump = false

    var deadline: Int64 { isWaiting ? .max : min(end, quietEnd) }

    /// It has done something; before the login that wins no time.
    func isActive(at now: Int64) {
        if session.isAuthenticated || isDump { quietEnd = now + Self.quietTime }
    }

    var isAnswering: Bool { answer != nil || !output.isEmpty }

    func send(_ text: String) { output.append(text) }

    func wait() { isWaiting = true }

    /// To what it has waited for, however long that was: its time begins anew.
    func answer(_ text: String, at now: Int64) {
        isWaiting = false
        end = now + Self.longestTime
        quietEnd = now + Self.quietTime
        send(text)
    }

    func close(_ text: String) {
        output.append(text)
        closes = true
    }

    /// Made piece by piece as the client reads it.
    func list(_ pieces: @escaping QueueSocket.Answer) {
        var isEnded = false
        output.append(MailqServerSession.listHead)
        answer = {
            if let piece = pieces() { return MailqServerSession.stuffed(piece) }
            defer { isEnded = true }
            return isEnded ? nil : MailqServerSession.listEnd
        }
    }

    enum Progress {
        /// All is written.
        case done
        /// More when the client has read.
        case waiting(hasWritten: Bool)
        /// The client has gone.
        case gone
    }

    /// A bounded piece a turn: mail goes before questions.
    func write() -> Progress {
        var pieces = 0
        while let make = answer, output.count < 1 << 16, pieces < 256 {
            pieces += 1
            if let piece = make() { output.append(piece) } else { answer = nil }
        }
        let before = output.count
        switch output.write(to: descriptor) {
        case .done: return answer == nil ? .done : .waiting(hasWritten: before > 0)
        case .full: return .waiting(hasWritten: output.count < before)
        case .closed: return .gone
        }
    }
}
