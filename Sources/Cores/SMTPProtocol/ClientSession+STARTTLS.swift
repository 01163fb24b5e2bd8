import MailModel

extension ClientSession {
    /// The handshake is done. What the server said in clear text is forgotten, and EHLO is said again (RFC 3207 §4.2).
    ///
    /// - Parameter isVerified: the server has proved who it is, as the destination's policy asks.
    public mutating func tlsStarted(isVerified: Bool, into output: inout [UInt8]) {
        guard case .startingTLS = state else { return }
        security = isVerified ? .verified : .encrypted
        capabilities = ServerCapabilities()
        parser = ReplyParser()
        if configuration.tls == .implicit {
            state = .awaitingGreeting
        } else {
            sayHello(isFallback: false, into: &output)
        }
    }

    /// EHLO or HELO was accepted: go on to TLS, or to mail. An offer of STARTTLS inside TLS is none (RFC 3207 §4.2).
    mutating func greeted(into output: inout [UInt8]) {
        switch (configuration.tls, security, capabilities.hasSTARTTLS) {
        case (.ifOffered, .clearText, true), (.required, .clearText, true):
            output += "STARTTLS\r\n".utf8
            state = .awaitingStartTLS
        case (.required, .clearText, false):
            output += "QUIT\r\n".utf8
            close(.tlsNotOffered)
        case (.never, _, _), (.ifOffered, _, _), (.required, _, _), (.implicit, _, _):
            secured()
        }
    }

    mutating func startTLSAnswered(_ reply: Reply, into output: inout [UInt8]) {
        switch reply.code {
        case 200..<300:
            state = .startingTLS
        case 400...:
            guard configuration.tls == .required else {
                secured()
                return
            }
            output += "QUIT\r\n".utf8
            close(.tlsRefused(reply))
        default:
            close(.outOfStep)
        }
    }
}
