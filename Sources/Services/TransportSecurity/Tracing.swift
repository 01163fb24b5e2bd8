import COpenSSL

/// Ties a connection's ``TLSTrace`` to the library's callbacks.
///
/// Soundness of its unsafe parts: the callbacks reach their state by the `SSL` of the call they are made in (see
/// ``ConnectionState``), and use the octets they are given during the callback only.
enum Tracing {
    static func start(_ ssl: OpaquePointer, _ trace: TLSTrace) {
        SSL_set_info_callback(ssl) { ssl, place, value in
            guard let ssl, let state = ConnectionState.of(ssl), let trace = state.trace else { return }
            if let line = Tracing.line(ssl, place, value) { trace.sink(line) }
        }
        guard trace.level >= .handshakeDump else { return }
        SSL_set_msg_callback(ssl) { isWritten, _, type, octets, count, ssl, _ in
            guard let name = Tracing.messageTypes[type], let ssl, let octets,
                let state = ConnectionState.of(ssl), let trace = state.trace
            else { return }
            let buffer = UnsafeRawBufferPointer(start: octets, count: count)
            Tracing.dump(buffer, "\(isWritten == 1 ? "sent" : "received") \(name)", to: trace)
        }
    }

    /// What is dumped in the clear: negotiation, never what the programs say to each other.
    private static let messageTypes: [Int32: String] = [
        SSL3_RT_CHANGE_CIPHER_SPEC: "change cipher spec", SSL3_RT_ALERT: "alert",
        SSL3_RT_HANDSHAKE: "handshake message",
    ]

    private static func line(_ ssl: OpaquePointer, _ place: Int32, _ value: Int32) -> String? {
        let side = SSL_is_server(ssl) == 1 ? "accept" : "connect"
        if place & SSL_CB_ALERT != 0 {
            let direction = place & SSL_CB_READ != 0 ? "read" : "write"
            let severity = String(cString: SSL_alert_type_string_long(value))
            return "TLS alert \(direction): \(severity): \(String(cString: SSL_alert_desc_string_long(value)))"
        }
        if place & SSL_CB_LOOP != 0 { return "TLS \(side): \(String(cString: SSL_state_string_long(ssl)))" }
        if place & SSL_CB_HANDSHAKE_DONE != 0 { return "TLS \(side): handshake done" }
        return nil
    }

    /// Octets of one dump at most.
    static let dumpLimit = 16_384 + 512

    /// Sixteen octets a line: offset, hexadecimal, ASCII.
    static func dump(_ octets: UnsafeRawBufferPointer, _ title: String, to trace: TLSTrace) {
        trace.sink("TLS \(title), \(octets.count) octets")
        var offset = 0
        while offset < min(octets.count, dumpLimit) {
            let row = octets[offset..<min(offset + 16, octets.count)]
            var hex = ""
            var text = ""
            for octet in row {
                hex += (octet < 16 ? "0" : "") + String(octet, radix: 16) + " "
                text.unicodeScalars.append((0x20...0x7e).contains(octet) ? Unicode.Scalar(octet) : ".")
            }
            hex += String(repeating: "   ", count: 16 - row.count)
            let number = String(offset, radix: 16)
            trace.sink("\(String(repeating: "0", count: max(0, 4 - number.utf8.count)))\(number) \(hex) \(text)")
            offset += 16
        }
        if octets.count > offset { trace.sink("… \(octets.count - offset) octets more") }
    }
}
