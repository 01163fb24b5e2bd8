import AgentProtocol
import Configuration
import MailModel
import NIOCore
import PeerIdentity
import PolicyAsking
import SMTPProtocol
import Telemetry
import TransportSecurity

/// ETRN, XCLIENT, Z-DEBUG.
extension SessionHandler {
    // MARK: ETRN

    /// Requests of one session; each costs the schedulers a connection.
    static let maximumQueueStarts = 20

    func startQueue(_ domain: String, _ replies: inout [UInt8]) {
        queueStarts += 1
        guard queueStarts <= Self.maximumQueueStarts else {
            let text = "Unable to queue messages for node \(domain): too many requests"
            session.answer(.reply(Reply(458, EnhancedStatusCode(4, 7, 0), text)), into: &replies)
            return
        }
        arrival.isAsking = true
        let nodes = loop.settings.configuration.cluster
        guard let target = ETRNTarget(domain) else { return ownQueueAnswered(domain, nil, []) }
        guard !nodes.isEmpty else { return startOwnQueue(target, before: []) }
        let asked = nodes.map { QueueStarter.ask(loop.loop, $0, target, remark: remark) }
        let bound = NIOLoopBound(self, eventLoop: loop.loop)
        EventLoopFuture.whenAllSucceed(asked, on: loop.loop).whenSuccess { results in
            bound.value.clusterAnswered(target, Array(zip(nodes, results)))
        }
    }

    /// On whose behalf, as ZMailer writes it.
    private var remark: String { "\(client.literal)@\(loop.settings.hostName)" }

    private typealias NodeResult = (
        SMTPServerConfiguration.ClusterNode, Result<MailqClientSession.Answer, MailqClientSession.Failure>
    )

    /// Where one of them failed our own scheduler is asked too (smtpserver.md §8).
    private func clusterAnswered(_ target: ETRNTarget, _ results: [NodeResult]) {
        var lines: [String] = []
        var hasFailed = false
        for (node, result) in results {
            switch result {
            case .success(let answer):
                lines.append("\(node.host): \(answer.text)")
            case .failure(let failure):
                hasFailed = true
                lines.append("\(node.host): failed")
                loop.log.warning(
                    "etrn-node-failed",
                    ["session": sessionID, "node": "\(node.host)/\(node.port)", "reason": failure.description])
            }
        }
        if hasFailed { return startOwnQueue(target, before: lines) }
        answerQuery(Reply(250, EnhancedStatusCode(2, 0, 0), lines + ["ETRN-cluster operation(s) complete"]))
    }

    private func startOwnQueue(_ target: ETRNTarget, before lines: [String]) {
        let bound = NIOLoopBound(self, eventLoop: loop.loop)
        QueueStarter.askOwn(
            loop.loop, socket: "\(loop.settings.postoffice)/.scheduler.mailq", target, remark: remark
        ).whenSuccess { bound.value.ownQueueAnswered("\(target)", $0, lines) }
    }

    /// RFC 1985 §5.2: 250 for a queue that was started, 251 for one that is empty.
    private func ownQueueAnswered(_ domain: String, _ answer: LocalETRN.Answer?, _ lines: [String]) {
        loop.log.info(
            "etrn",
            [
                "session": sessionID, "client": client.literal, "domain": domain,
                "threads": answer.map { "\($0.threads)" } ?? "no answer of the scheduler",
            ])
        switch answer?.threads {
        case nil:
            answerQuery(
                Reply(458, EnhancedStatusCode(4, 3, 0), lines + ["Unable to queue messages for node \(domain)"]))
        case 0?:
            answerQuery(Reply(251, EnhancedStatusCode(2, 0, 0), lines + ["Ok, no messages waiting for node \(domain)"]))
        case _?:
            let text = "An ETRN request is submitted - something may get sent."
            answerQuery(Reply(250, EnhancedStatusCode(2, 0, 0), lines + [text]))
        }
    }

    private func answerQuery(_ answer: Reply) {
        arrival.isAsking = false
        guard phase == .open else { return }
        isActive(loop.timeouts.command)
        reply { session.answer(.reply(answer), into: &$0) }
    }

    // MARK: XCLIENT

    /// The client becomes another one, and is received anew; what is behind the command was said by the proxy.
    func changeClient(_ text: String, _ replies: inout [UInt8]) {
        do throws(ClientAttributesError) {
            var all = attributes ?? ClientAttributes()
            all.add(try ClientAttributes(parsing: text))
            attributes = all
            client = client.changed(by: all)
            loop.log.info("xclient", ["session": sessionID, "client": client.literal, "attributes": text])
            withdraw()
            phase = .connecting
            var user: String?
            if case .given(let login)? = all.login { user = login }
            session.restart(
                ServerSession.Peer(literal: client.literal), configuration: sessionConfiguration, user: user)
            session.surroundings.isTrusted = false
            session.surroundings.mayBeTrusted = false
            policy = SessionPolicy()
            if user != nil { policy.clientLoggedIn() }
            arrival.ident = nil
            arrival.whoson = nil
            announce()
        } catch {
            session.answer(.reply(Reply(501, EnhancedStatusCode(5, 5, 4), "\(error)")), into: &replies)
        }
    }

    // MARK: Z-DEBUG

    /// What the server knows of the session, for whoever runs it; nothing of others.
    func debugReply() -> Reply {
        var lines = ["session \(sessionID)", "client \(client.literal) port \(client.port)"]
        lines.append("listener \(profile.role.text)")
        lines.append("name \(session.peer.name ?? "unknown")")
        lines.append("hello \(session.hello.map { "\($0.kind.rawValue) \($0.argument)" } ?? "none")")
        lines.append("tls \(tlsInfo.map { "\($0.protocolName) \($0.cipher)" } ?? "none")")
        lines.append("user \(session.authenticatedUser ?? "none")")
        lines.append("trusted \(policy.isTrusted ? "yes" : "no"), maximum size \(session.maximumMessageSize)")
        lines.append("accepted \(accepted), refused \(session.refusals), sessions here \(loop.wheel.count)")
        return Reply(250, EnhancedStatusCode(2, 0, 0), lines)
    }
}
