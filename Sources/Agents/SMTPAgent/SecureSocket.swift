import SASL
import TransportSecurity

/// A socket, and the TLS over it once that has begun. Confined to the thread that uses it, like both.
final class SecureSocket {
    private let socket: Socket
    private var tls: TLSConnection?
    /// Octets from the network on their way into `tls`.
    private var ciphertext: [UInt8] = []

    /// Rounds of reading that an idle connection's notes of TLS itself are worth: a few tickets.
    private static let maximumIdleReads = 8

    init(_ socket: Socket) { self.socket = socket }

    /// What was agreed on; `nil` in clear text.
    var session: TLSSessionInfo? { tls?.session }

    /// What an authentication can be tied to; `nil`: in clear text, or where the connection has nothing that is safe.
    var channelBinding: SASLClientExchange.Binding? {
        guard let tls else { return nil }
        for type in [ChannelBinding.tlsExporter, .tlsUnique, .tlsServerEndPoint] {
            // Below TLS 1.3 tls-unique is what servers know (RFC 9266 §3).
            if type == .tlsExporter, tls.channelBinding(.tlsUnique) != nil { continue }
            if let data = tls.channelBinding(type) {
                return SASLClientExchange.Binding(name: type.rawValue, data: data)
            }
        }
        return nil
    }

    /// For the next connection.
    var resumableSession: TLSClientSession? { tls?.clientSession }

    /// Does the handshake; from now on all octets go through it, or none do.
    func startTLS(_ connection: TLSConnection, deadline: Deadline) throws(TransportError) {
        tls = connection
        ciphertext = [UInt8](repeating: 0, count: TLSConnection.maximumRecordSize)
        while true {
            let progress: TLSConnection.Progress
            do throws(TLSFailure) {
                progress = try connection.handshake()
            } catch {
                sayLastWords(connection)
                throw TransportError(error)
            }
            try send(connection, deadline)
            switch progress {
            case .established: return
            case .closed: throw .closedByPeer
            case .needInput: try receive(connection, deadline)
            }
        }
    }

    /// Reads what has arrived, at least one octet, or throws.
    func read(into buffer: UnsafeMutableRawBufferPointer, deadline: Deadline) throws(TransportError) -> Int {
        guard let tls else { return try socket.read(into: buffer, deadline: deadline) }
        while true {
            let count = try decrypt(tls, into: buffer)
            // A request for new keys is answered (RFC 8446 §4.6.3).
            try send(tls, deadline)
            if count > 0 { return count }
            if tls.isClosedByPeer { throw .closedByPeer }
            try receive(tls, deadline)
        }
    }

    /// Writes all octets, or throws; then an unknown part has been written.
    func write(_ octets: UnsafeRawBufferPointer, deadline: Deadline) throws(TransportError) {
        guard let tls else { return try socket.write(octets, deadline: deadline) }
        do throws(TLSFailure) {
            try tls.write(octets)
        } catch {
            sayLastWords(tls)
            throw TransportError(error)
        }
        try send(tls, deadline)
    }

    /// Whether the peer has said something or gone while nobody asked: an idle connection like that is of no use.
    var hasUnexpectedInput: Bool {
        guard let tls else { return socket.hasUnexpectedInput }
        var octet: UInt8 = 0
        for _ in 0..<Self.maximumIdleReads {
            guard socket.hasUnexpectedInput else { return false }
            do throws(TransportError) {
                // Tickets and new keys come when the server likes (RFC 8446 §4.6).
                try receive(tls, Deadline(after: .zero))
                let count = try withUnsafeMutableBytes(of: &octet) { (buffer) throws(TransportError) in
                    try decrypt(tls, into: buffer)
                }
                try send(tls, Deadline(after: .zero))
                if count > 0 || tls.isClosedByPeer { return true }
            } catch {
                return true
            }
        }
        return true
    }

    /// Tells the peer that this is the end it means (RFC 8446 §6.1), if that can be done at once.
    func close() {
        guard let tls else { return }
        tls.close()
        sayLastWords(tls)
    }

    private func decrypt(
        _ tls: TLSConnection, into buffer: UnsafeMutableRawBufferPointer
    ) throws(TransportError) -> Int {
        do throws(TLSFailure) {
            return try tls.read(into: buffer)
        } catch {
            sayLastWords(tls)
            throw TransportError(error)
        }
    }

    private func receive(_ tls: TLSConnection, _ deadline: Deadline) throws(TransportError) {
        let count = try ciphertext.withUnsafeMutableBufferPointer { (buffer) throws(TransportError) in
            try socket.read(into: UnsafeMutableRawBufferPointer(buffer), deadline: deadline)
        }
        do throws(TLSFailure) {
            try ciphertext.withUnsafeBufferPointer { (octets) throws(TLSFailure) in
                try tls.receive(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: octets[..<count])))
            }
        } catch {
            throw TransportError(error)
        }
    }

    private func send(_ tls: TLSConnection, _ deadline: Deadline) throws(TransportError) {
        guard tls.hasOutput else { return }
        try tls.takeOutput().withUnsafeBufferPointer { (octets) throws(TransportError) in
            try socket.write(UnsafeRawBufferPointer(octets), deadline: deadline)
        }
    }

    /// An alert tells the peer's operator why. The connection ends either way, so that an alert that cannot be sent is none.
    private func sayLastWords(_ tls: TLSConnection) {
        do throws(TransportError) {
            try send(tls, Deadline(after: .zero))
        } catch {
            _ = tls.takeOutput()
        }
    }
}
