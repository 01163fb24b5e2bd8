import DequeModule
import MailModel
import NIOCore
import SMTPProtocol
import Telemetry

/// How a session ends: by its own last word, at a deadline, with the process, or because the client has gone.
extension SessionHandler {
    /// Our last reply is written: nothing more is read, and the client may close first, so that it gets our words.
    func finish() {
        guard let context, isAlive else { return }
        let hasUnread = (input?.readableBytes ?? 0) > 0
        phase = .lingering
        dropMessage()
        input = nil
        flushIfNeeded(context)
        if hasUnread {
            // Closing a socket with unread octets resets it, and the client would lose our last words.
            context.close(mode: .output, promise: nil)
        } else {
            context.close(promise: nil)
            return
        }
        isActive(loop.timeouts.linger)
        if isReadHeldBack {
            isReadHeldBack = false
            context.read()
        }
    }

    private var isAlive: Bool {
        switch phase {
        case .awaitingHeader, .connecting, .securing, .delaying, .open: true
        case .lingering, .closed: false
        }
    }

    /// Ends the session with this reply, when nothing of it is being decided.
    func terminate(_ reply: Reply?, reason: String) {
        guard context != nil, isAlive else { return }
        loop.log.info(
            "ended", ["session": sessionID, "client": client.literal, "reason": reason, "accepted": "\(accepted)"])
        var replies = loop.borrowScratch()
        session.terminate(phase == .open ? reply : nil, into: &replies)
        write(replies)
        loop.giveBack(replies)
        finish()
    }

    func expired() {
        switch phase {
        case .connecting, .delaying, .closed:
            break
        case .awaitingHeader, .securing:
            let reason = phase == .securing ? "no TLS handshake in time" : "no PROXY header in time"
            loop.log.info("ended", ["session": sessionID, "client": client.literal, "reason": reason])
            context?.close(promise: nil)
        case .lingering:
            context?.close(promise: nil)
        case .open:
            if loop.now >= endsBy, !isWaiting {
                let text = "\(loop.settings.hostName) session has lasted too long, closing"
                terminate(Reply(421, EnhancedStatusCode(4, 4, 2), text), reason: "session-limit")
            } else if isWaiting {
                isActive(loop.timeouts.command)
            } else if context?.channel.isWritable == false {
                loop.log.info("ended", ["session": sessionID, "client": client.literal, "reason": "write timeout"])
                context?.close(promise: nil)
            } else {
                let text = "\(loop.settings.hostName) timeout, closing"
                terminate(Reply(421, EnhancedStatusCode(4, 4, 2), text), reason: "timeout")
            }
        }
    }

    /// Whether it is our turn, not the client's.
    var isWaiting: Bool {
        isSpilling || openQuestion != nil || !asked.isEmpty || isCommitting || isTarpitted || isThrottled
            || arrival.isAsking || filterRun != nil
    }

    /// The process ends: a message that is being stored gets its answer first.
    func stop() {
        if isCommitting { return }
        abandonFiltering()
        let text = "\(loop.settings.hostName) shutting down, try again soon"
        terminate(Reply(421, EnhancedStatusCode(4, 3, 2), text), reason: "shutdown")
    }

    func ended(_ reason: String) {
        guard phase != .closed else { return }
        phase = .closed
        if let openQuestion { loop.policy.forget(openQuestion) }
        for question in asked { loop.policy.forget(question.number) }
        asked = []
        early = [:]
        unsent = []
        countAbandoned()
        abandonFiltering()
        withdraw()
        uncountAccount()
        exchange = nil
        let unlogged = session.refusals - ServerSession.maximumRecordedRefusals
        if unlogged > 0 {
            loop.log.info(
                "refused-more", ["session": sessionID, "client": client.literal, "count": "\(unlogged)"])
        }
        if wheelPosition.slot >= 0 {
            loop.wheel.remove(self)
            loop.sessionCount.add(-1)
            loop.intake.metrics.sessions.add(-1)
        }
        if message != nil, !isCommitting {
            loop.log.info(
                "aborted",
                ["session": sessionID, "client": client.literal, "octets": "\(message?.contentSize ?? 0)"])
        }
        dropMessage()
        input = nil
        context = nil
        writeTranscript()
        if let tag { loop.sessionLog?.comment(tag, "connection \(reason)") }
        loop.log.debug(
            "disconnect",
            [
                "session": sessionID, "client": client.literal, "accepted": "\(accepted)",
                "refused": "\(session.refusals)",
            ])
    }
}
