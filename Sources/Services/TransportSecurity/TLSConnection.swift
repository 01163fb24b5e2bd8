import COpenSSL
import MailModel

/// One end of a TLS connection without I/O: octets of the network in and out, plain octets out and in.
///
///     try connection.receive(fromNetwork)
///     if try connection.handshake() == .established { count = try connection.read(into: buffer) }
///     send(connection.takeOutput())        // after each call, also one that threw: alerts are in it
///
/// Confined to one thread at a time. After a call threw, the others but ``takeOutput()`` throw the same.
///
/// Soundness of its unsafe parts: it owns its `SSL` and frees it when it goes; each call runs with the connection kept alive
/// (``call(_:)``); callbacks reach the ``ConnectionState`` alone, which the `SSL` keeps alive by its BIO, and through it
/// immutable values. The context is kept alive here and by the `SSL`.
public final class TLSConnection {
    public enum Progress: Hashable, Sendable {
        /// Send ``takeOutput()`` and come back with octets of the peer.
        case needInput
        case established
        /// The peer said that it closes (close_notify).
        case closed
    }

    /// Octets that ``receive(_:)`` keeps at most while nothing is read.
    public static let maximumPendingInput = 1 << 20
    /// Octets of plain text in a record (RFC 8446 §5.1): a good size for buffers.
    public static let maximumRecordSize = 16_384

    let ssl: OpaquePointer
    let state: ConnectionState
    let isServer: Bool
    private let context: AnyObject
    private var failure: TLSFailure?
    private var isClosed = false
    /// Whether close_notify came: the end of what the peer sent is the end it meant.
    public private(set) var isClosedByPeer = false

    /// The server's end.
    public init(server context: TLSServerContext, trace: TLSTrace? = nil) throws(TLSFailure) {
        state = ConnectionState(serverNames: context.serverNames, trace: trace)
        ssl = try Self.makeSSL(context.base, state)
        self.context = context
        isServer = true
        SSL_set_accept_state(ssl)
    }

    /// The client's end. `serverName` is sent to the server (RFC 6066 §3) if it is a domain name; `session` is offered if it was
    /// made with the same name and verification.
    public init(
        client context: TLSClientContext, serverName: String?, verification: TLSVerification,
        resuming session: TLSClientSession? = nil, trace: TLSTrace? = nil
    ) throws(TLSFailure) {
        let name = serverName.flatMap { IPAddress($0) == nil ? asciiName($0) : nil }
        state = ConnectionState(serverName: name, verification: verification, trace: trace)
        ssl = try Self.makeSSL(context.base, state)
        self.context = context
        isServer = false
        SSL_set_connect_state(ssl)
        // A peer that lacks RFC 5746 is no worse than clear text.
        if !verification.isEnforced { cossl_allow_legacy_server(ssl) }
        if let name { cossl_set_server_name(ssl, name) }
        if let session, session.scope == TLSClientSession.Scope(serverName: name, verification: verification) {
            SSL_set_session(ssl, session.pointer)
        }
        ERR_clear_error()
    }

    deinit {
        // A connection that ended without close_notify is no reason not to resume its session (RFC 5246 §7.2.1); a failed one is.
        if failure == nil { SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN) }
        SSL_free(ssl)
    }

    private static func makeSSL(_ context: SSLContext, _ state: ConnectionState) throws(TLSFailure) -> OpaquePointer {
        ERR_clear_error()
        guard let ssl = SSL_new(context.pointer) else {
            throw TLSFailure(.configuration, "no TLS connection: \(OpenSSL.drainTexts())")
        }
        guard let bio = state.makeBIO() else {
            SSL_free(ssl)
            throw TLSFailure(.configuration, "no TLS connection: \(OpenSSL.drainTexts())")
        }
        SSL_set_bio(ssl, bio, bio)
        if let trace = state.trace { Tracing.start(ssl, trace) }
        return ssl
    }

    // MARK: The network's side

    /// Octets from the network, during the handshake and after. They are kept until ``handshake()`` or ``read(into:)`` use them:
    /// call those until they can do no more.
    public func receive(_ ciphertext: UnsafeRawBufferPointer) throws(TLSFailure) {
        if let failure { throw failure }
        guard state.pendingInput + ciphertext.count <= Self.maximumPendingInput else {
            throw TLSFailure(.misuse, "more than \(Self.maximumPendingInput) octets received and none read")
        }
        state.append(ciphertext)
    }

    /// The network ended. Without a close_notify before it, ``read(into:)`` gives what is complete and then throws.
    public func receiveEnd() { state.isInputEnded = true }

    /// Whether octets that were received are not used yet.
    public var hasPendingInput: Bool { state.pendingInput > 0 || SSL_has_pending(ssl) == 1 }

    /// What must be sent, alerts included; it is the caller's from now on. May be called at any time.
    public func takeOutput() -> [UInt8] { state.takeOutput() }

    public var hasOutput: Bool { !state.output.isEmpty }

    /// A call threw, or the next will: ``read(into:)`` has given what came before the error.
    public var hasFailed: Bool { failure != nil }

    /// Of a server in a handshake of TLS 1.3: all of its own part is sent, and no certificate is asked for, so that the client has only
    /// to confirm, which costs no arithmetic worth mentioning. Not after a HelloRetryRequest, behind which keys are still to be made.
    public var awaitsConfirmation: Bool {
        isServer && SSL_version(ssl) == TLS1_3_VERSION && !state.isHandshakeDone && SSL_get_finished(ssl, nil, 0) > 0
            && SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE
    }

    // MARK: The program's side

    /// Goes on with the handshake as far as the input allows. Costs up to some milliseconds of processor time.
    public func handshake() throws(TLSFailure) -> Progress {
        if isClosedByPeer { return .closed }
        if state.isHandshakeDone, failure == nil { return .established }
        switch try call({ SSL_do_handshake($0) }) {
        case .done:
            state.isHandshakeDone = true
            return .established
        case .needInput: return .needInput
        case .closed:
            isClosedByPeer = true
            return .closed
        }
    }

    /// Decrypts into `buffer` as much as there is and fits; 0: none now, or nothing more will come (``isClosedByPeer``).
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(TLSFailure) -> Int {
        try checkEstablished()
        var count = 0
        while count < buffer.count, !isClosedByPeer, let start = buffer.baseAddress {
            var got = 0
            do throws(TLSFailure) {
                switch try call({ SSL_read_ex($0, start + count, buffer.count - count, &got) }) {
                case .done: count += got
                case .needInput: return count
                case .closed: isClosedByPeer = true
                }
            } catch {
                // What came before the error is genuine; the next call throws.
                guard count > 0 else { throw error }
                return count
            }
        }
        return count
    }

    /// Encrypts all of `plaintext` into the output.
    public func write(_ plaintext: UnsafeRawBufferPointer) throws(TLSFailure) {
        try checkEstablished()
        guard !isClosed else { throw TLSFailure(.misuse, "write after close") }
        guard plaintext.count > 0, let start = plaintext.baseAddress else { return }
        let records = plaintext.count / Self.maximumRecordSize + 1
        state.outputLimit = .max
        defer { state.outputLimit = ConnectionState.unaskedOutputLimit }
        state.reserveOutput(plaintext.count + records * 40)
        var taken = 0
        guard case .done = try call({ SSL_write_ex($0, start, plaintext.count, &taken) }), taken == plaintext.count
        else {
            throw fail(TLSFailure(.misuse, "write: not all octets were taken"))
        }
    }

    /// Puts close_notify into the output (RFC 8446 §6.1). What the peer still sends may be read.
    public func close() {
        guard state.isHandshakeDone, !isClosed, failure == nil else { return }
        isClosed = true
        ERR_clear_error()
        _ = withExtendedLifetime(self) { SSL_shutdown(ssl) }
        ERR_clear_error()
    }

    /// For a later connection of a client; the latest that the server gave. TLS 1.3 servers give it after the handshake.
    public var clientSession: TLSClientSession? { failure == nil ? state.session : nil }

    // MARK: Calls of the library

    private enum Outcome {
        case done
        case needInput
        case closed
    }

    func checkEstablished() throws(TLSFailure) {
        if let failure { throw failure }
        guard state.isHandshakeDone else { throw TLSFailure(.misuse, "the handshake is not done") }
    }

    private func call(_ body: (OpaquePointer) -> Int32) throws(TLSFailure) -> Outcome {
        if let failure { throw failure }
        ERR_clear_error()
        return try withExtendedLifetime(self) { () throws(TLSFailure) in
            let result = body(ssl)
            if result > 0 { return .done }
            switch SSL_get_error(ssl, result) {
            case SSL_ERROR_WANT_READ: return .needInput
            case SSL_ERROR_ZERO_RETURN: return .closed
            default: throw fail(reason())
            }
        }
    }

    /// Nothing of the connection can be used from now on.
    private func fail(_ failure: TLSFailure) -> TLSFailure {
        self.failure = failure
        state.dropInput()
        state.trace?.sink("TLS \(isServer ? "accept" : "connect"): failed: \(failure)")
        return failure
    }

    /// The library's reason for the last call's failure; empties its queue.
    private func reason() -> TLSFailure {
        let entries = OpenSSL.drainErrors()
        if state.isOutputFull {
            return TLSFailure(
                .protocolError, "the peer makes us answer more than \(ConnectionState.unaskedOutputLimit) octets")
        }
        let isOfTLS = { (reason: Int32) in entries.contains { $0.library == ERR_LIB_SSL && $0.reason == reason } }
        var text = entries.isEmpty ? "the connection broke" : entries.map(\.text).joined(separator: "; ")
        if isOfTLS(SSL_R_UNEXPECTED_EOF_WHILE_READING) {
            return TLSFailure(.truncated, "the connection ended without close_notify")
        }
        if isOfTLS(SSL_R_CERTIFICATE_VERIFY_FAILED) {
            if let error = verifyError { text = "certificate verify failed: \(error)" }
            return TLSFailure(.verification, text)
        }
        if isOfTLS(SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) { return TLSFailure(.verification, text) }
        let alert = entries.first {
            $0.library == ERR_LIB_SSL && (SSL_AD_REASON_OFFSET..<SSL_AD_REASON_OFFSET + 256).contains($0.reason)
        }
        if let alert { return TLSFailure(.alert(UInt8(alert.reason - SSL_AD_REASON_OFFSET)), text) }
        return TLSFailure(.protocolError, text)
    }
}

/// A connection is confined to one thread at a time; whoever moves it takes care of that.
@available(*, unavailable)
extension TLSConnection: Sendable {}
