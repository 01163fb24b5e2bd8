import Glibc
import MailModel
import Synchronization
import Testing
import TransportSecurity

@testable import SMTPAgent

/// A scripted SMTP or LMTP server on a loopback address: the other end of the agent's connections.
final class SMTPAgentPeer: Sendable {
    /// How it behaves; the defaults accept everything.
    struct Script: Sendable {
        var greeting = "220 peer.test ESMTP"
        /// Keywords behind the first line of the reply to EHLO or LHLO; `nil`: EHLO is refused.
        var keywords: [String]? = ["PIPELINING", "8BITMIME", "SIZE 10000000", "DSN", "SMTPUTF8"]
        var mailReply = "250 2.1.0 ok"
        /// By address, `250 2.1.5 ok` for all others.
        var recipientReplies: [String: String] = [:]
        var dataReply = "354 go on"
        var finalReply = "250 2.0.0 taken"
        /// Of LMTP, one for each accepted recipient in turn.
        var finalReplies: [String] = []
        var isLMTP = false
        /// The connection ends after so many messages.
        var messagesPerConnection = Int.max
        /// Connections, counted from 1, that end without a reply to their second MAIL.
        var dropsSecondMail: Set<Int> = []
        /// Connections that end behind the content, without a reply.
        var dropsBehindContent = false
        /// The greeting goes on and on, an octet every 20 ms.
        var drips = false
        /// Nothing is ever said.
        var isSilent = false
        /// What TLS is done with; STARTTLS must be among the keywords too. Without it STARTTLS is an unknown command.
        var tls: TLSServerContext?
        var startTLSReply = "220 2.0.0 go on"
        /// In clear text, in one write with the reply to STARTTLS.
        var injection = ""
        var handshake = Handshake.done
        /// Behind EHLO inside TLS.
        var keywordsInTLS = ["PIPELINING", "8BITMIME", "SIZE 10000000", "DSN", "SMTPUTF8"]
        /// TLS before the greeting.
        var isWrapped = false
        /// What happens instead of the above at a stage: the first time, the second, …; then the above again. Counted over all
        /// connections.
        var turns: [Stage: [Turn]] = [:]
        /// The same for each time without an entry in `turns`.
        var always: [Stage: Turn] = [:]
        /// What came with a command is thrown away when it is read: PIPELINING that is not meant.
        var discardsPipelined = false
        /// AUTH: what is said to each line of the client, beginning with the command, as SASL messages or whole replies.
        var authentication: (@Sendable () -> SMTPAgentPeerAuthentication)?
    }

    /// A moment of a session.
    enum Stage: String, Hashable, Sendable, CaseIterable {
        case greeting, ehlo, helo, mail, rcpt, data, content, rset
    }

    /// What a peer does at a stage.
    enum Turn: Hashable, Sendable {
        /// The text and CRLF.
        case say(String)
        /// The octets as they are.
        case raw(String)
        /// The same, each a write, and a TLS record, of its own.
        case pieces([String])
        case sayAndDrop(String)
        /// The octets as they are, and the end.
        case rawAndDrop(String)
        case drop
        case silence
    }

    /// What happens instead of the handshake.
    enum Handshake: Hashable, Sendable, CaseIterable {
        case done
        case closed
        case garbage
        case silence
        /// Done, and then the connection ends.
        case doneAndClosed
    }

    struct Message: Hashable, Sendable {
        let connection: Int
        let mail: String
        let recipients: [String]
        let content: String
        var isInTLS = false
    }

    private struct State: Sendable {
        var connections = 0
        /// `127.0.0.1:40000`
        var clients: [String] = []
        var messages: [Message] = []
        var commands: [String] = []
        var clearCommands: [String] = []
        var resumed: [Bool] = []
        var threads: [pthread_t] = []
        var open: Set<Int32> = []
        var isStopped = false
        var turns: [Stage: Int] = [:]
    }
    let port: UInt16
    private let script: Script
    private let listener: Int32
    private let state = Mutex(State())

    /// - Parameter port: 0 takes a free one.
    init(_ script: Script = Script(), address: UInt32 = 0x7f00_0001, port: UInt16 = 0) throws {
        self.script = script
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var enabled: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &enabled, 4)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = address.bigEndian
        name.sin_port = port.bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 100) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        self.listener = listener
        self.port = UInt16(bigEndian: name.sin_port)
        try #require(bound)
        start { self.acceptAll() }
    }

    /// At a Unix-domain socket.
    init(_ script: Script, unixPath: String) throws {
        self.script = script
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        port = 0
        let endpoint = Endpoint(name: unixPath, place: .unixSocket(unixPath))
        let listener = listener
        let bound = endpoint.withSocketAddress { bind(listener, $0, $1) == 0 && listen(listener, 100) == 0 }
        try #require(bound)
        start { self.acceptAll() }
    }

    /// Ends all connections and threads.
    func stop() {
        state.withLock { state in
            state.isStopped = true
            for descriptor in state.open { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
        shutdown(listener, Int32(SHUT_RDWR))
        while let thread = state.withLock({ $0.threads.popLast() }) { pthread_join(thread, nil) }
        close(listener)
    }

    var connections: Int { state.withLock { $0.connections } }
    /// Address and port of each.
    var clients: [String] { state.withLock { $0.clients } }
    var messages: [Message] { state.withLock { $0.messages } }
    /// All command lines, as they came.
    var commands: [String] { state.withLock { $0.commands } }
    /// Those that came in clear text.
    var clearCommands: [String] { state.withLock { $0.clearCommands } }
    /// For each handshake that was done, whether it resumed a session.
    var resumed: [Bool] { state.withLock { $0.resumed } }

    /// Whether the condition comes true within ten seconds.
    func eventually(_ condition: (SMTPAgentPeer) -> Bool) -> Bool {
        let deadline = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < deadline {
            if condition(self) { return true }
            usleep(2000)
        }
        return condition(self)
    }

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private func start(_ run: @escaping @Sendable () -> Void) {
        let body = Unmanaged.passRetained(Body(run))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, body.toOpaque())
        if code == 0 { state.withLock { $0.threads.append(thread) } }
    }

    private func turn(_ stage: Stage) -> Turn? {
        let number = state.withLock { state in
            defer { state.turns[stage, default: 0] += 1 }
            return state.turns[stage, default: 0]
        }
        guard let list = script.turns[stage], number < list.count else { return script.always[stage] }
        return list[number]
    }

    private static func client(_ descriptor: Int32) -> String? {
        var name = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isKnown = withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(descriptor, $0, &length) == 0 }
        }
        guard isKnown, name.sin_family == sa_family_t(AF_INET) else { return nil }
        return "\(IPAddress.v4(UInt32(bigEndian: name.sin_addr.s_addr))):\(UInt16(bigEndian: name.sin_port))"
    }

    private func acceptAll() {
        while true {
            let descriptor = accept(listener, nil, nil)
            guard descriptor >= 0 else { return }
            let number = state.withLock { state -> Int? in
                guard !state.isStopped else { return nil }
                state.connections += 1
                if let client = Self.client(descriptor) { state.clients.append(client) }
                state.open.insert(descriptor)
                return state.connections
            }
            guard let number else {
                close(descriptor)
                return
            }
            start {
                Session(descriptor, self.script) { self.turn($0) }.run(number) { command, isInTLS in
                    self.state.withLock { state in
                        state.commands.append(command)
                        if !isInTLS { state.clearCommands.append(command) }
                    }
                } agreed: { isResumed in
                    self.state.withLock { $0.resumed.append(isResumed) }
                } taken: { message in
                    self.state.withLock { $0.messages.append(message) }
                }
                self.state.withLock { state in
                    state.open.remove(descriptor)
                    close(descriptor)
                }
            }
        }
    }
}

extension SMTPAgentPeer {
    /// One connection, in blocking calls.
    private final class Session {
        private let descriptor: Int32
        private let script: Script
        private var buffer: [UInt8] = []
        private var tls: TLSConnection?
        private var mail = ""
        private var recipients: [String] = []
        private let turn: (Stage) -> Turn?

        init(_ descriptor: Int32, _ script: Script, _ turn: @escaping (Stage) -> Turn?) {
            self.descriptor = descriptor
            self.script = script
            self.turn = turn
        }

        /// Answers a stage, with `reply` unless the script has a turn for it. Returns what was said; `nil`: the connection is to end.
        private func answer(_ stage: Stage, _ reply: String) -> String? {
            switch turn(stage) {
            case nil:
                say(reply)
                return reply
            case .say(let text):
                say(text)
                return text
            case .raw(let text):
                write(Array(text.utf8))
                return text
            case .pieces(let pieces):
                for piece in pieces { write(Array(piece.utf8)) }
                return pieces.joined()
            case .sayAndDrop(let text):
                say(text)
                return nil
            case .rawAndDrop(let text):
                write(Array(text.utf8))
                return nil
            case .drop: return nil
            case .silence:
                while fill() {}
                return nil
            }
        }

        func run(
            _ number: Int, heard: (String, Bool) -> Void, agreed: (Bool) -> Void, taken: (Message) -> Void
        ) {
            if script.isSilent {
                while fill() {}
                return
            }
            if script.drips {
                var octet = UInt8(ascii: "2")
                while Glibc.send(descriptor, &octet, 1, Int32(MSG_NOSIGNAL)) == 1 { usleep(20_000) }
                return
            }
            if script.isWrapped, !startTLS(agreed) { return }
            guard answer(.greeting, script.greeting) != nil else { return }
            var mails = 0
            var messages = 0
            while let line = line() {
                heard(line, tls != nil)
                if script.discardsPipelined { buffer = [] }
                let verb = line.prefix(4).uppercased()
                switch verb {
                case "EHLO", "LHLO":
                    guard let keywords = tls == nil ? script.keywords : script.keywordsInTLS else {
                        say("502 5.5.1 no EHLO here")
                        continue
                    }
                    let lines = ["peer.test"] + keywords
                    let reply = lines.enumerated().map { "250\($0 == lines.count - 1 ? " " : "-")\($1)" }
                    guard answer(.ehlo, reply.joined(separator: "\r\n")) != nil else { return }
                case "HELO":
                    guard answer(.helo, "250 peer.test") != nil else { return }
                case "RSET":
                    guard answer(.rset, "250 2.0.0 ok") != nil else { return }
                case "AUTH" where script.authentication != nil:
                    guard let authentication = script.authentication?(), authenticate(line, authentication) else {
                        return
                    }
                case "MAIL":
                    mails += 1
                    if mails == 2, script.dropsSecondMail.contains(number) { return }
                    mail = line
                    recipients = []
                    guard answer(.mail, script.mailReply) != nil else { return }
                case "RCPT":
                    let address = String(line.drop { $0 != "<" }.dropFirst().prefix { $0 != ">" })
                    let reply = script.recipientReplies[address] ?? "250 2.1.5 ok"
                    guard let said = answer(.rcpt, reply) else { return }
                    if said.hasPrefix("2") { recipients.append(line) }
                case "DATA":
                    guard let said = answer(.data, script.dataReply) else { return }
                    guard said.hasPrefix("3") else { continue }
                    guard let content = dotted() else { return }
                    guard finish(number, content, taken) else { return }
                    messages += 1
                case "BDAT":
                    let words = line.split(separator: " ")
                    guard let count = Int(words[1]), let content = exactly(count), finish(number, content, taken) else {
                        return
                    }
                    messages += 1
                case "QUIT":
                    say("221 2.0.0 bye")
                    return
                case "STAR" where script.tls != nil || script.startTLSReply.first != "2":
                    say(script.startTLSReply, behind: script.injection)
                    if script.startTLSReply.first == "2", !startTLS(agreed) { return }
                case "STAR":
                    say("502 5.5.1 what?")
                default:
                    say("250 2.0.0 ok")
                }
                if messages == script.messagesPerConnection { return }
            }
        }

        private func finish(_ number: Int, _ content: [UInt8], _ taken: (Message) -> Void) -> Bool {
            taken(
                Message(
                    connection: number, mail: mail, recipients: recipients,
                    content: String(decoding: content, as: UTF8.self), isInTLS: tls != nil))
            if script.dropsBehindContent { return false }
            guard script.isLMTP else { return answer(.content, script.finalReply) != nil }
            for index in recipients.indices {
                let reply = index < script.finalReplies.count ? script.finalReplies[index] : script.finalReply
                guard answer(.content, reply) != nil else { return false }
            }
            return true
        }

        /// `false`: the connection is to end.
        private func authenticate(_ command: String, _ authentication: SMTPAgentPeerAuthentication) -> Bool {
            var authentication = authentication
            var line = command
            while true {
                let reply = authentication.answer(line, tls: tls)
                say(reply)
                guard reply.hasPrefix("334") else { return true }
                guard let next = self.line() else { return false }
                line = next
            }
        }

        private func say(_ line: String, behind more: String = "") {
            write(Array((line + "\r\n" + more).utf8))
        }

        private func write(_ octets: [UInt8]) {
            guard let tls else { return send(octets) }
            do { try tls.write(octets) } catch { return }
            send(tls.takeOutput())
        }

        private func send(_ octets: [UInt8]) {
            var rest = octets[...]
            while !rest.isEmpty {
                let count = Glibc.send(descriptor, Array(rest), rest.count, Int32(MSG_NOSIGNAL))
                guard count > 0 else { return }
                rest = rest.dropFirst(count)
            }
        }

        private func fill() -> Bool {
            guard let tls else {
                guard let chunk = receive() else { return false }
                buffer += chunk
                return true
            }
            do {
                while true {
                    let octets = try tls.read()
                    send(tls.takeOutput())
                    buffer += octets
                    if !octets.isEmpty { return true }
                    guard !tls.isClosedByPeer, let chunk = receive() else { return false }
                    try tls.receive(chunk)
                }
            } catch {
                send(tls.takeOutput())
                return false
            }
        }

        private func receive() -> [UInt8]? {
            var chunk = [UInt8](repeating: 0, count: 65536)
            let count = recv(descriptor, &chunk, chunk.count, 0)
            return count > 0 ? Array(chunk[..<count]) : nil
        }

        /// `false`: the connection is to end.
        private func startTLS(_ agreed: (Bool) -> Void) -> Bool {
            switch script.handshake {
            case .closed: return false
            case .garbage:
                _ = receive()
                send(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
                return false
            case .silence:
                while receive() != nil {}
                return false
            case .done, .doneAndClosed: break
            }
            buffer = []
            do {
                guard let context = script.tls else { return false }
                let connection = try TLSConnection(server: context)
                defer { send(connection.takeOutput()) }
                while try connection.handshake() != .established {
                    send(connection.takeOutput())
                    guard let chunk = receive() else { return false }
                    try connection.receive(chunk)
                }
                tls = connection
                agreed(connection.session?.isResumed ?? false)
            } catch {
                return false
            }
            return script.handshake == .done
        }

        private func line() -> String? {
            while true {
                if let end = buffer.firstIndex(of: 0x0a) {
                    let text = String(decoding: buffer[..<max(0, end - 1)], as: UTF8.self)
                    buffer.removeSubrange(...end)
                    return text
                }
                guard fill() else { return nil }
            }
        }

        private func exactly(_ count: Int) -> [UInt8]? {
            while buffer.count < count { guard fill() else { return nil } }
            defer { buffer.removeSubrange(..<count) }
            return Array(buffer[..<count])
        }

        /// Unstuffed.
        private func dotted() -> [UInt8]? {
            var content: [UInt8] = []
            var start = 0
            while true {
                if let end = buffer[start...].firstIndex(of: 0x0a) {
                    let line = buffer[start...end]
                    start = end + 1
                    if line.elementsEqual(".\r\n".utf8) {
                        buffer.removeSubrange(..<start)
                        return content
                    }
                    content += line.first == 0x2e ? line.dropFirst() : line
                } else {
                    buffer.removeSubrange(..<start)
                    start = 0
                    guard fill() else { return nil }
                }
            }
        }
    }
}
