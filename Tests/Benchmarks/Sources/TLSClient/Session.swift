import Glibc
import TransportSecurity

/// One connection, from the connect to the answer to QUIT.
final class Session {
    private enum Step {
        case greeting, hello, startTLS, mail, recipient, data, message, quit
    }

    let socket: Int32
    /// Messages that were answered with 250.
    private(set) var accepted = 0
    /// Whether everything was said and answered.
    private(set) var isWhole = false
    private(set) var latencies: [Double] = []
    private(set) var info: TLSSessionInfo?

    private let run: Run
    private let messages: Int
    private var connection: TLSConnection?
    private var step = Step.greeting
    private var begun = now()
    private var line: [UInt8] = []

    private static let hello = Array("EHLO bench.test\r\n".utf8)
    private static let startTLS = Array("STARTTLS\r\n".utf8)
    private static let mail = Array("MAIL FROM:<a@sender.test>\r\n".utf8)
    private static let data = Array("DATA\r\n".utf8)
    private static let quit = Array("QUIT\r\n".utf8)
    private static let bufferSize = 17 << 10

    /// Connects; a session that could not is over at its first ``advance()``.
    init(_ run: Run, messages: Int) {
        self.run = run
        self.messages = messages
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var one: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = run.plan.port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if code == 0, run.plan.isImplicit, !secure() { shutdown(socket, Int32(SHUT_RDWR)) }
    }

    deinit { close(socket) }

    /// Takes what has come; `false`: the session is over.
    func advance() -> Bool {
        withUnsafeTemporaryAllocation(byteCount: Self.bufferSize, alignment: 16) { buffer in
            let count = read(socket, buffer.baseAddress, buffer.count)
            guard count > 0 else { return false }
            guard let connection else { return take(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
            do throws(TLSFailure) {
                try connection.receive(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                if info == nil {
                    let progress = try connection.handshake()
                    guard send(connection.takeOutput()) else { return false }
                    if progress == .needInput { return true }
                    info = connection.session
                    if run.plan.mail != nil, !say(Self.hello, .hello) { return false }
                }
                while true {
                    let plain = try connection.read(into: buffer)
                    guard plain > 0 else { return !connection.isClosedByPeer }
                    guard take(UnsafeRawBufferPointer(rebasing: buffer[..<plain])) else { return false }
                }
            } catch {
                return false
            }
        }
    }

    private func take(_ octets: UnsafeRawBufferPointer) -> Bool {
        for octet in octets {
            guard octet == 0x0a else {
                line.append(octet)
                continue
            }
            let isLast = line.count >= 4 && line[3] != UInt8(ascii: "-")
            let digit = line.first
            line.removeAll(keepingCapacity: true)
            if isLast, let digit, !answered(digit) { return false }
        }
        return line.count < 1000
    }

    /// A whole reply by the first digit of its code; `false`: the session is over.
    private func answered(_ digit: UInt8) -> Bool {
        guard digit == (step == .data ? UInt8(ascii: "3") : UInt8(ascii: "2")) else { return false }
        switch step {
        case .greeting:
            if run.plan.mail == nil { latencies.append(now() - begun) }
            return say(Self.hello, .hello)
        case .hello:
            if messages == 0 { return say(Self.quit, .quit) }
            return connection == nil ? say(Self.startTLS, .startTLS) : beginMessage()
        case .startTLS: return secure()
        case .mail: return say(run.recipient, .recipient)
        case .recipient: return say(Self.data, .data)
        case .data: return say(run.message, .message)
        case .message:
            accepted += 1
            latencies.append(now() - begun)
            return accepted < messages ? beginMessage() : say(Self.quit, .quit)
        case .quit:
            isWhole = true
            connection?.close()
            if let connection { _ = send(connection.takeOutput()) }
            return false
        }
    }

    private func beginMessage() -> Bool {
        begun = now()
        return say(Self.mail, .mail)
    }

    /// The client's first flight.
    private func secure() -> Bool {
        do throws(TLSFailure) {
            let made = try TLSConnection(client: run.context, serverName: "mx.bench.test", verification: .none)
            connection = made
            _ = try made.handshake()
            return send(made.takeOutput())
        } catch {
            return false
        }
    }

    private func say(_ octets: [UInt8], _ next: Step) -> Bool {
        step = next
        guard let connection else { return send(octets) }
        do throws(TLSFailure) { try connection.write(octets) } catch { return false }
        return send(connection.takeOutput())
    }

    private func send(_ octets: [UInt8]) -> Bool {
        // The socket blocks; what is sent is below its buffer.
        octets.withUnsafeBytes { $0.isEmpty || write(socket, $0.baseAddress, $0.count) == $0.count }
    }
}
