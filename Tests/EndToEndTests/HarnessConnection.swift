import Foundation
import Glibc

/// One side of a TCP conversation, octet for octet as the test says it.
final class Connection {
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    /// What encrypts since `secure(with:)`.
    private(set) var tls: TLSClient?
    private var isAbandoned = false

    /// A reply of RFC 5321 §4.2: all its lines.
    struct Reply: CustomStringConvertible {
        let lines: [String]
        var code: Int { lines.last.flatMap { Int($0.prefix(3)) } ?? 0 }
        var description: String { lines.joined(separator: "\n") }
        /// The texts after the code and its separator, for EHLO keywords.
        var texts: [String] { lines.map { String($0.dropFirst(4)) } }
    }

    init(descriptor: Int32) { self.descriptor = descriptor }

    init(port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard withLoopback(port, { connect(descriptor, $0, $1) }) == 0 else {
            let reason = String(cString: strerror(errno))
            close(descriptor)
            throw HarnessError("connect to 127.0.0.1:\(port): \(reason)")
        }
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    /// From `source`, within a network of its own or from 127.0.0.0/8: to 127.0.0.1, or to ::1 from an IPv6 address, unless
    /// `destination` is given.
    init(port: UInt16, from source: String, to destination: String? = nil, in network: TestNetwork? = nil) throws {
        descriptor = try TestNetwork.connectedSocket(from: source, to: destination, port: port, in: network)
    }

    deinit {
        if isAbandoned {
            var option = linger(l_onoff: 1, l_linger: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        } else {
            shutdown(descriptor, Int32(SHUT_RDWR))
        }
        close(descriptor)
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ octets: [UInt8], deadline: Duration = .seconds(30)) throws {
        guard let tls else { return try sendRaw(octets, deadline) }
        try tls.write(octets)
        try sendRaw(tls.takeOutgoing(), deadline)
    }

    private func sendRaw(_ octets: [UInt8], _ deadline: Duration) throws {
        var sent = 0
        while sent < octets.count {
            try wait(for: Int16(POLLOUT), deadline)
            let count = octets.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, octets.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw HarnessError("send: \(String(cString: strerror(errno)))") }
            sent += count
        }
    }

    /// The next line without its CRLF; nil at the end of the connection.
    func readLine(deadline: Duration = .seconds(30)) throws -> String? {
        while true {
            if let end = buffer.firstIndex(of: 0x0a) {
                var line = buffer[..<end]
                if line.last == 0x0d { line.removeLast() }
                let text = String(decoding: line, as: UTF8.self)
                buffer.removeFirst(end + 1)
                return text
            }
            guard try fill(deadline) else { return nil }
        }
    }

    func readReply(deadline: Duration = .seconds(30)) throws -> Reply {
        var lines: [String] = []
        while true {
            guard let line = try readLine(deadline: deadline) else {
                throw HarnessError("connection closed after: \(lines.joined(separator: " / "))")
            }
            lines.append(line)
            if line.count < 4 || line[line.index(line.startIndex, offsetBy: 3)] != "-" { return Reply(lines: lines) }
        }
    }

    /// Sends one line and reads its reply.
    @discardableResult
    func command(_ line: String, deadline: Duration = .seconds(30)) throws -> Reply {
        try send(line + "\r\n")
        return try readReply(deadline: deadline)
    }

    /// All octets up to and with `terminator`; nil if the connection ends before.
    func read(upTo terminator: [UInt8], deadline: Duration = .seconds(30)) throws -> [UInt8]? {
        var searched = 0
        while true {
            if buffer.count >= terminator.count {
                for start in searched...(buffer.count - terminator.count)
                where buffer[start] == terminator[0]
                    && buffer[start..<start + terminator.count].elementsEqual(terminator)
                {
                    let end = start + terminator.count
                    let found = Array(buffer[..<end])
                    buffer.removeFirst(end)
                    return found
                }
                searched = buffer.count - terminator.count + 1
            }
            guard try fill(deadline) else { return nil }
        }
    }

    /// Exactly `count` octets.
    func read(count: Int, deadline: Duration = .seconds(30)) throws -> [UInt8] {
        while buffer.count < count {
            guard try fill(deadline) else { throw HarnessError("connection closed within \(count) octets") }
        }
        let found = Array(buffer[..<count])
        buffer.removeFirst(count)
        return found
    }

    /// Puts octets back in front of what is read next.
    func unread(_ octets: [UInt8]) { buffer.insert(contentsOf: octets, at: 0) }

    /// Whether the peer closes, whatever it still says before.
    func isClosedByPeer(deadline: Duration = .seconds(30)) throws -> Bool {
        while try fill(deadline) { buffer.removeAll() }
        return true
    }

    /// What the peer still says before it closes; nil if it does not close in time.
    func remainder(deadline: Duration = .seconds(30)) throws -> [UInt8]? {
        do {
            while try fill(deadline) {}
        } catch let error as HarnessError where error.description.hasPrefix("nothing from the peer") {
            return nil
        }
        defer { buffer = [] }
        return buffer
    }

    /// Closes our sending side only.
    func shutdownSending() {
        if let tls {
            tls.close()
            try? sendRaw(tls.takeOutgoing(), .seconds(30))
        }
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// The last reference gone, the peer will see a reset and not an end.
    func abandon() { isAbandoned = true }

    /// Shakes hands with the peer; everything is encrypted from then on.
    func secure(with client: TLSClient, deadline: Duration) throws {
        guard buffer.isEmpty else {
            throw HarnessError("said in clear text before TLS: \(String(decoding: buffer, as: UTF8.self))")
        }
        while true {
            let isDone = try client.handshake()
            try sendRaw(client.takeOutgoing(), deadline)
            if isDone { break }
            guard let octets = try receiveRaw(deadline) else {
                throw HarnessError("connection closed within the TLS handshake")
            }
            client.receive(octets)
        }
        tls = client
    }

    /// False at the end of the connection.
    private func fill(_ deadline: Duration) throws -> Bool {
        guard let tls else {
            guard let octets = try receiveRaw(deadline) else { return false }
            buffer += octets
            return true
        }
        while true {
            guard let octets = try tls.read() else { return false }
            buffer += octets
            if !octets.isEmpty { return true }
            // Answers to what was read, such as an alert.
            try sendRaw(tls.takeOutgoing(), deadline)
            guard let received = try receiveRaw(deadline) else { return false }
            tls.receive(received)
        }
    }

    /// Nil at the end of the connection.
    private func receiveRaw(_ deadline: Duration) throws -> [UInt8]? {
        try wait(for: Int16(POLLIN), deadline)
        var chunk = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        if count < 0, errno == ECONNRESET { return nil }
        guard count >= 0 else { throw HarnessError("recv: \(String(cString: strerror(errno)))") }
        return count > 0 ? Array(chunk[..<count]) : nil
    }

    private func wait(for events: Int16, _ deadline: Duration) throws {
        var entry = pollfd(fd: descriptor, events: events, revents: 0)
        let milliseconds = Int32(deadline.components.seconds * 1000)
        while true {
            let count = poll(&entry, 1, milliseconds)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw HarnessError("nothing from the peer within \(deadline)") }
            return
        }
    }
}

extension Connection {
    /// Connects, reads the greeting and says EHLO.
    static func greeted(port: UInt16, as name: String = "client.test") throws -> Connection {
        let connection = try Connection(port: port)
        let greeting = try connection.readReply()
        guard greeting.code == 220 else { throw HarnessError("greeting: \(greeting)") }
        let hello = try connection.command("EHLO \(name)")
        guard hello.code == 250 else { throw HarnessError("EHLO: \(hello)") }
        return connection
    }

    /// One mail transaction with `message` (CRLF lines, dots not yet stuffed); the reply to the final dot, or the first
    /// one that is not the expected.
    @discardableResult
    func transact(from sender: String, to recipients: [String], message: [UInt8], parameters: String = "") throws
        -> Reply
    {
        let mail = try command("MAIL FROM:<\(sender)>\(parameters)")
        guard mail.code == 250 else { return mail }
        for recipient in recipients {
            let reply = try command("RCPT TO:<\(recipient)>")
            guard reply.code / 100 == 2 else { return reply }
        }
        let data = try command("DATA")
        guard data.code == 354 else { return data }
        try send(Self.stuffed(message) + Array(".\r\n".utf8))
        return try readReply(deadline: .seconds(60))
    }

    @discardableResult
    func transact(from sender: String, to recipients: [String], message: String, parameters: String = "") throws
        -> Reply
    {
        try transact(from: sender, to: recipients, message: Array(message.utf8), parameters: parameters)
    }

    /// RFC 5321 §4.5.2; `message` ends with CRLF.
    static func stuffed(_ message: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(message.count + 64)
        var isLineStart = true
        for octet in message {
            if isLineStart, octet == UInt8(ascii: ".") { result.append(octet) }
            result.append(octet)
            isLineStart = octet == 0x0a
        }
        return result
    }

    /// Undoes `stuffed` and takes the final dot line away.
    static func unstuffed(_ data: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(data.count)
        var isLineStart = true
        for octet in data.dropLast(3) {
            let isStuffing = isLineStart && octet == UInt8(ascii: ".")
            isLineStart = octet == 0x0a
            if !isStuffing { result.append(octet) }
        }
        return result
    }
}
