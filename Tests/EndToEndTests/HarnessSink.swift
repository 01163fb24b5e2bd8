import Foundation
import Glibc
import Synchronization

/// A next hop that keeps what it is given and answers as a test tells it: one thread a session, on a port of its own.
final class Sink: Sendable {
    struct Message: Sendable {
        let reversePath: String
        let forwardPaths: [String]
        /// The whole line of MAIL, and those of the accepted RCPTs.
        let mailCommand: String
        let recipientCommands: [String]
        /// As sent, dots unstuffed.
        let octets: [UInt8]
        var text: String { String(decoding: octets, as: UTF8.self) }
        /// What is behind the trace fields.
        var content: [UInt8] { ConformanceStore.divided(octets).content }
    }

    /// What to answer to a command or to the final dot (`.`); nil: what a server that takes everything answers.
    typealias Answer = @Sendable (_ line: String) -> String?

    private struct State {
        var messages: [Message] = []
        var connections = 0
        var commands: [String] = []
        var answer: Answer
        var openDescriptors: Set<Int32> = []
        var isStopped = false
    }

    let port: UInt16
    private let listener: Int32
    private let keywords: [String]
    private let state: Mutex<State>
    /// Signalled by the accepting thread when it has closed the listener.
    private let ended = DispatchSemaphore(value: 0)

    /// `keywords`: the lines of the EHLO reply after the first.
    init(
        port: UInt16? = nil, keywords: [String] = ["PIPELINING", "8BITMIME", "SIZE 0", "ENHANCEDSTATUSCODES"],
        answer: @escaping Answer = { _ in nil }
    ) throws {
        let chosen = try port ?? FreePorts.take()
        self.port = chosen
        self.keywords = keywords
        state = Mutex(State(answer: answer))
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var on: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard withLoopback(chosen, { bind(listener, $0, $1) }) == 0, listen(listener, 512) == 0 else {
            let reason = String(cString: strerror(errno))
            close(listener)
            throw HarnessError("sink on port \(chosen): \(reason)")
        }
        let descriptor = listener
        let ended = ended
        let thread = Thread { [weak self] in
            // Whoever accepts closes: a number that is closed elsewhere may already be somebody else's descriptor.
            defer {
                close(descriptor)
                ended.signal()
            }
            while true {
                let client = Descriptors.accept(descriptor)
                guard client >= 0 else { return }
                guard let self, self.admit(client) else {
                    close(client)
                    return
                }
                let session = Thread { [weak self] in self?.serve(client) }
                session.stackSize = 256 << 10
                session.start()
            }
        }
        thread.stackSize = 256 << 10
        thread.start()
    }

    private func admit(_ client: Int32) -> Bool {
        state.withLock { state in
            guard !state.isStopped else { return false }
            state.connections += 1
            state.openDescriptors.insert(client)
            return true
        }
    }

    // Not waiting: the last reference may be that of the accepting thread.
    deinit { _ = endSessions() }

    /// Ends all sessions; the port is free afterwards.
    func stop() {
        if endSessions() { ended.wait() }
    }

    /// False if that was done before.
    private func endSessions() -> Bool {
        let isFirst = state.withLock { state in
            defer { state.isStopped = true }
            for descriptor in state.openDescriptors { shutdown(descriptor, Int32(SHUT_RDWR)) }
            return !state.isStopped
        }
        if isFirst { shutdown(listener, Int32(SHUT_RDWR)) }
        return isFirst
    }

    var messages: [Message] { state.withLock { $0.messages } }
    var messageCount: Int { state.withLock { $0.messages.count } }
    var connectionCount: Int { state.withLock { $0.connections } }
    /// Every command line received, in the order of arrival.
    var commands: [String] { state.withLock { $0.commands } }
    func answer(_ answer: @escaping Answer) { state.withLock { $0.answer = answer } }

    private func serve(_ client: Int32) {
        let connection = Connection(descriptor: client)
        // `stop` may shut the descriptor down as long as it is in the set, so it is closed only afterwards.
        withExtendedLifetime(connection) {
            // The end of a session, also an untimely one, is nothing to report: a test looks at what arrived.
            try? converse(connection)
            state.withLock { _ = $0.openDescriptors.remove(client) }
        }
    }

    private func decide(_ line: String, otherwise: String) -> String {
        let answer = state.withLock { $0.answer }
        return answer(line) ?? otherwise
    }

    private func converse(_ connection: Connection) throws {
        let patience = Duration.seconds(600)
        try connection.send(decide("", otherwise: "220 sink.test ESMTP") + "\r\n")
        var mailCommand = ""
        var recipientCommands: [String] = []
        var content: [UInt8] = []
        func message(_ octets: [UInt8]) -> Message {
            Message(
                reversePath: Self.path(in: mailCommand), forwardPaths: recipientCommands.map(Self.path),
                mailCommand: mailCommand, recipientCommands: recipientCommands, octets: octets)
        }
        while let line = try connection.readLine(deadline: patience) {
            state.withLock { $0.commands.append(line) }
            let verb = line.prefix(4).uppercased()
            var reply: String
            switch verb {
            case "EHLO", "LHLO":
                let lines = ["sink.test"] + keywords
                reply = lines.enumerated().map { "250\($0.offset == lines.count - 1 ? " " : "-")\($0.element)" }
                    .joined(separator: "\r\n")
            case "DATA": reply = "354 go on"
            case "QUIT": reply = "221 2.0.0 bye"
            default: reply = "250 2.0.0 ok"
            }
            reply = decide(line, otherwise: reply)
            if verb == "BDAT" {
                let words = line.split(separator: " ")
                let size = words.count > 1 ? Int(words[1]) ?? 0 : 0
                content += try connection.read(count: size, deadline: patience)
                if line.uppercased().hasSuffix(" LAST") {
                    reply = decide(".", otherwise: "250 2.0.0 kept")
                    keep(reply, message(content))
                    content = []
                }
            }
            try connection.send(reply + "\r\n")
            let isAccepted = reply.hasPrefix("2") || reply.hasPrefix("3")
            switch verb {
            case "MAIL" where isAccepted:
                mailCommand = line
                recipientCommands = []
            case "RCPT" where isAccepted: recipientCommands.append(line)
            case "RSET", "EHLO", "HELO": recipientCommands = []
            case "DATA" where isAccepted:
                // The first line may already be the final dot.
                guard let octets = try Self.readData(connection, patience) else { return }
                let reply = decide(".", otherwise: "250 2.0.0 kept")
                keep(reply, message(octets))
                try connection.send(reply + "\r\n")
            case "QUIT": return
            default: break
            }
            if reply.hasPrefix("421") { return }
        }
    }

    /// Kept before the reply is written: whoever has read the reply finds the message.
    private func keep(_ reply: String, _ message: Message) {
        if reply.hasPrefix("2") { state.withLock { $0.messages.append(message) } }
    }

    private static func readData(_ connection: Connection, _ patience: Duration) throws -> [UInt8]? {
        guard let first = try connection.read(upTo: [0x0d, 0x0a], deadline: patience) else { return nil }
        if first == Array(".\r\n".utf8) { return [] }
        connection.unread([0x0d, 0x0a])
        guard let rest = try connection.read(upTo: Array("\r\n.\r\n".utf8), deadline: patience) else { return nil }
        return Connection.unstuffed(first + rest.dropFirst(2))
    }

    /// What stands between the angle brackets.
    private static func path(in line: String) -> String {
        guard let open = line.firstIndex(of: "<"), let end = line.lastIndex(of: ">"), open < end else { return "" }
        return String(line[line.index(after: open)..<end])
    }
}
