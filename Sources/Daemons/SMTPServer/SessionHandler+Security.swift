import MailModel
import NIOCore
import SMTPProtocol
import Telemetry
import TransportSecurity

/// TLS of a session.
extension SessionHandler {
    /// STARTTLS was accepted: what is behind this in the replies is encrypted.
    func startTLS(_ replies: inout [UInt8]) {
        guard let context else { return }
        // 220 goes out in clear text, then the handshake has the connection.
        write(replies)
        replies.removeAll(keepingCapacity: true)
        flushIfNeeded(context)
        input = nil
        beginHandshake()
    }

    func beginHandshake() {
        guard let context else { return }
        guard let contexts = loop.tls, let current = contexts.context(of: profile.role.group) else {
            loop.log.error("tls-not-started", ["session": sessionID, "reason": "no certificate for this listener"])
            context.close(promise: nil)
            return
        }
        do {
            let connection = try TLSConnection(server: current, trace: loop.tlsTrace(profile, sessionID))
            let handler = TLSHandler(connection, pool: contexts.pool, early: input)
            input = nil
            phase = .securing
            isActive(Self.handshakeDeadline)
            try context.pipeline.syncOperations.addHandler(handler, position: .first)
            tls = handler
            handler.begin()
        } catch {
            loop.log.error("tls-not-started", ["session": sessionID, "reason": "\(error)"])
            context.close(promise: nil)
        }
    }

    func secured(_ event: TLSHandler.Event) {
        switch event {
        case .established(let info):
            guard phase == .securing else { return }
            tlsInfo = info
            loop.intake.metrics.handshakes.add(info.isResumed ? .resumed : .full)
            session.surroundings.isSecure = true
            loop.log.info(
                "tls",
                [
                    "session": sessionID, "client": client.literal, "protocol": info.protocolName,
                    "cipher": info.cipher,
                    "resumed": info.isResumed ? "yes" : "no", "name": info.serverName ?? "-",
                    "peer": info.peer?.commonName ?? "-",
                    "verified": info.isPeerVerified ? "yes" : info.verifyError ?? "no",
                ])
            if arrival.greeting == nil {
                phase = .open
                session.tlsStarted()
                isActive(loop.timeouts.command)
                pump()
            } else {
                phase = .connecting
                greet()
            }
        case .failed(let reason):
            if phase == .securing { loop.intake.metrics.handshakes.add(.failed) }
            loop.log.info(
                phase == .securing ? "tls-failed" : "tls-broken",
                ["session": sessionID, "client": client.literal, "reason": reason])
        }
    }
}
