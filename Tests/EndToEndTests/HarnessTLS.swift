import COpenSSL
import Foundation

/// The client side of TLS over memory: octets in, octets out. Certificates are not checked, a test that cares asks for them.
final class TLSClient {
    private let context: OpaquePointer
    private let session: OpaquePointer
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer

    /// - Parameter serverName: sent in the handshake (RFC 6066 §3); nil: none.
    init(serverName: String?) throws {
        guard let context = SSL_CTX_new(TLS_client_method()), let session = SSL_new(context),
            let incoming = BIO_new(BIO_s_mem()), let outgoing = BIO_new(BIO_s_mem())
        else { throw HarnessError("OpenSSL: no TLS client") }
        self.context = context
        self.session = session
        self.incoming = incoming
        self.outgoing = outgoing
        // The session owns both buffers from here on.
        SSL_set_bio(session, incoming, outgoing)
        SSL_set_connect_state(session)
        if var name = serverName?.utf8CString.map({ $0 }) {
            SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name), &name)
        }
    }

    deinit {
        SSL_free(session)
        SSL_CTX_free(context)
    }

    /// `TLSv1.3` and the like.
    var version: String { String(cString: SSL_get_version(session)) }

    /// Of this session, for SASL (RFC 9266 §2).
    func exporterBinding() throws -> [UInt8] {
        var result = [UInt8](repeating: 0, count: 32)
        let label = "EXPORTER-Channel-Binding"
        guard SSL_export_keying_material(session, &result, 32, label, label.utf8.count, nil, 0, 0) == 1 else {
            throw problem("TLS exporter")
        }
        return result
    }

    /// What the peer sent.
    func receive(_ octets: [UInt8]) { BIO_write(incoming, octets, Int32(octets.count)) }

    /// What must be sent to the peer.
    func takeOutgoing() -> [UInt8] {
        var result: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = BIO_read(outgoing, &chunk, Int32(chunk.count))
            guard count > 0 else { return result }
            result += chunk[..<Int(count)]
        }
    }

    /// True when it is done; false: more octets of the peer are needed.
    func handshake() throws -> Bool {
        ERR_clear_error()
        let result = SSL_do_handshake(session)
        return result == 1 ? true : try needsInput(result, "TLS handshake")
    }

    func write(_ octets: [UInt8]) throws {
        guard !octets.isEmpty else { return }
        ERR_clear_error()
        guard SSL_write(session, octets, Int32(octets.count)) == octets.count else { throw problem("TLS write") }
    }

    /// The next octets; empty: more of the peer's are needed; nil: it ended TLS properly.
    func read() throws -> [UInt8]? {
        var chunk = [UInt8](repeating: 0, count: 16384)
        ERR_clear_error()
        let count = SSL_read(session, &chunk, Int32(chunk.count))
        if count > 0 { return Array(chunk[..<Int(count)]) }
        if SSL_get_error(session, count) == SSL_ERROR_ZERO_RETURN { return nil }
        _ = try needsInput(count, "TLS read")
        return []
    }

    /// Tells the peer that nothing more comes.
    func close() { SSL_shutdown(session) }

    private func needsInput(_ result: Int32, _ what: String) throws -> Bool {
        guard SSL_get_error(session, result) == SSL_ERROR_WANT_READ else { throw problem(what) }
        return false
    }

    private func problem(_ what: String) -> HarnessError {
        var text = [CChar](repeating: 0, count: 256)
        ERR_error_string_n(ERR_get_error(), &text, text.count)
        return HarnessError("\(what): " + text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) })
    }
}

extension Connection {
    /// RFC 3207 §4: the handshake, on a connection whose peer has agreed, or expects it from the beginning.
    func startTLS(serverName: String? = nil, deadline: Duration = .seconds(30)) throws {
        let client = try TLSClient(serverName: serverName)
        try secure(with: client, deadline: deadline)
    }
}

extension Connection {
    /// Greeted, with TLS by STARTTLS, and greeted again.
    static func secured(port: UInt16) throws -> Connection { try secured(try Connection(port: port)) }

    static func secured(_ connection: Connection) throws -> Connection {
        for line in ["", "EHLO client.test", "STARTTLS"] {
            let reply = try line.isEmpty ? connection.readReply() : connection.command(line)
            guard reply.code / 100 == 2 else { throw HarnessError("\(line): \(reply)") }
        }
        try connection.startTLS()
        let hello = try connection.command("EHLO client.test")
        guard hello.code == 250 else { throw HarnessError("EHLO within TLS: \(hello)") }
        return connection
    }
}
