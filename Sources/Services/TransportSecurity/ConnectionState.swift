import COpenSSL

/// What OpenSSL's callbacks may see of a connection: octets of the wire in both directions, and what they find out.
///
/// Soundness of its unsafe parts: the BIO holds a retained reference, taken in ``makeBIO()`` and given back when the BIO is
/// destroyed. An `SSL` owns its BIO, so the state lives as long as any call with that `SSL` can come back here. A connection
/// is confined to one thread at a time, and with it everything here.
final class ConnectionState {
    private var input: [UInt8] = []
    private var consumed = 0
    private(set) var output: [UInt8] = []
    var isInputEnded = false

    /// Octets of output that a peer can cause without our writing: handshakes with long chains have 100,000.
    static let unaskedOutputLimit = 1 << 18
    var outputLimit = unaskedOutputLimit
    private(set) var isOutputFull = false

    /// A server's: which certificate for which name.
    let serverNames: ServerNames?
    /// The name that the client asks for; a server knows it when it has seen it.
    var serverName: String?
    /// A client's: what it wants of the certificate.
    let verification: TLSVerification
    let trace: TLSTrace?
    /// The client's latest session, for a later connection.
    var session: TLSClientSession?
    var isHandshakeDone = false

    init(
        serverNames: ServerNames? = nil, serverName: String? = nil, verification: TLSVerification = .none,
        trace: TLSTrace?
    ) {
        self.serverNames = serverNames
        self.serverName = serverName
        self.verification = verification
        self.trace = trace
    }

    // MARK: The wire

    /// Octets that OpenSSL has not asked for yet.
    var pendingInput: Int { input.count - consumed }

    func append(_ octets: UnsafeRawBufferPointer) {
        traceWire(octets, "received")
        if consumed == input.count {
            input = Array(octets)
            consumed = 0
        } else {
            input.removeFirst(consumed)
            consumed = 0
            input.append(contentsOf: octets)
        }
    }

    /// What is to be sent; the caller's from now on.
    func takeOutput() -> [UInt8] {
        var taken: [UInt8] = []
        swap(&taken, &output)
        return taken
    }

    func reserveOutput(_ count: Int) { output.reserveCapacity(output.count + count) }

    fileprivate func take(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(buffer.count, pendingInput)
        guard count > 0 else { return 0 }
        input.withUnsafeBytes {
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[consumed..<consumed + count]))
        }
        consumed += count
        if consumed == input.count {
            // An idle connection holds no buffer.
            input = []
            consumed = 0
        }
        return count
    }

    fileprivate func put(_ octets: UnsafeRawBufferPointer) -> Bool {
        guard octets.count <= outputLimit - output.count else {
            isOutputFull = true
            return false
        }
        output.append(contentsOf: octets)
        traceWire(octets, "sent")
        return true
    }

    private func traceWire(_ octets: UnsafeRawBufferPointer, _ direction: String) {
        guard let trace, trace.level >= .wireDump else { return }
        Tracing.dump(octets, "\(direction) on the wire", to: trace)
    }

    func dropInput() {
        input = []
        consumed = 0
    }

    // MARK: BIO

    /// A BIO for both directions that owns a reference to this state.
    func makeBIO() -> OpaquePointer? {
        guard let method = Self.method.pointer, let bio = BIO_new(method) else { return nil }
        BIO_set_data(bio, Unmanaged.passRetained(self).toOpaque())
        BIO_set_init(bio, 1)
        return bio
    }

    /// The state of the connection that `ssl` belongs to.
    static func of(_ ssl: OpaquePointer) -> ConnectionState? { of(bio: SSL_get_rbio(ssl)) }

    fileprivate static func of(bio: OpaquePointer?) -> ConnectionState? {
        guard let bio, let data = BIO_get_data(bio) else { return nil }
        return Unmanaged<ConnectionState>.fromOpaque(data).takeUnretainedValue()
    }

    /// Never changed after it is made, never freed: any thread may use it.
    private struct Method: @unchecked Sendable {
        let pointer: OpaquePointer?
    }

    private static let method: Method = {
        guard let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "zmailer wire") else {
            return Method(pointer: nil)
        }
        BIO_meth_set_read(method) { bio, buffer, count in
            guard let state = ConnectionState.of(bio: bio), let buffer, count > 0 else { return -1 }
            cossl_clear_retry(bio)
            let taken = state.take(UnsafeMutableRawBufferPointer(start: buffer, count: Int(count)))
            if taken > 0 { return Int32(taken) }
            if state.isInputEnded { return 0 }
            cossl_set_retry_read(bio)
            return -1
        }
        BIO_meth_set_write(method) { bio, octets, count in
            guard let state = ConnectionState.of(bio: bio), let octets, count > 0 else { return -1 }
            cossl_clear_retry(bio)
            return state.put(UnsafeRawBufferPointer(start: octets, count: Int(count))) ? count : -1
        }
        BIO_meth_set_ctrl(method) { bio, command, _, _ in
            switch command {
            case BIO_CTRL_FLUSH: return 1
            case BIO_CTRL_EOF:
                guard let state = ConnectionState.of(bio: bio) else { return 1 }
                return state.isInputEnded && state.pendingInput == 0 ? 1 : 0
            default: return 0
            }
        }
        BIO_meth_set_destroy(method) { bio in
            guard let bio else { return 0 }
            if let data = BIO_get_data(bio) {
                BIO_set_data(bio, nil)
                Unmanaged<ConnectionState>.fromOpaque(data).release()
            }
            return 1
        }
        return Method(pointer: method)
    }()
}
