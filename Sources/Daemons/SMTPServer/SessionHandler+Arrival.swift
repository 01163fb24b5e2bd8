import Configuration
import HostAccess
import MailModel
import NIOCore
import PeerIdentity
import Policy
import PolicyAsking
import SMTPProtocol
import Telemetry

/// What is known of a client before it is greeted.
struct Arrival {
    /// The answer of its host's ident service (RFC 1413), `nil` if none was asked or none came.
    var ident: String?
    /// What whoson says; `nil`: it was not asked.
    var whoson: WhosonReply?
    /// Octets came before the greeting.
    var hasTalkedEarly = false
    /// ident or whoson is out, or TCP wrappers are, or a check of credentials, or ETRN.
    var isAsking = false
    var headerDecoder = ProxyHeaderDecoder()
    /// What the policy said, until the greeting may be written.
    var greeting: ServerSession.Greeting?
    /// Why, for the log.
    var reason = ""
    /// While the greeting is held back.
    var delay: Scheduled<Void>?

    var isWhosonUser: Bool { if case .loggedIn? = whoson { true } else { false } }
}

/// From the first packet to the greeting: PROXY header, ident and whoson, the policy, TCP wrappers, TLS, a delay; in this order
/// (smtpserver.md §7.1).
extension SessionHandler {
    /// Seconds for a PROXY header, which its sender has at hand.
    static let headerDeadline = 5
    /// Seconds for a handshake.
    static let handshakeDeadline = 60
    /// Milliseconds for a client to begin with TLS where `outlook-tls-bug` lets it (smtpserver(8)).
    static let immediateHandshakeDelay: Int64 = 2000

    func arrive() {
        if let account = client.account {
            identifyAccount(account.uid)
        } else if let address = client.address, profile.configuration.proxies.contains(where: { $0.contains(address) })
        {
            phase = .awaitingHeader
            isActive(Self.headerDeadline)
        } else {
            identify()
        }
    }

    func inputBeforeGreeting() {
        switch phase {
        case .awaitingHeader:
            receiveHeader()
        case .connecting, .delaying:
            if profile.role.service == .smtps { return }
            if !detectsImmediateHandshake {
                talkedEarly()
            } else if phase == .delaying {
                delayIsOver()
            }
        case .securing, .open, .lingering, .closed:
            break
        }
    }

    private func talkedEarly() {
        guard !arrival.hasTalkedEarly else { return }
        arrival.hasTalkedEarly = true
        if phase == .delaying, profile.configuration.earlyTalker != .ignore { refuseEarlyTalker() }
    }

    // MARK: PROXY

    private func receiveHeader() {
        guard let octets = input else { return }
        let (consumed, result) = octets.withUnsafeReadableBytes { arrival.headerDecoder.decode($0) }
        if consumed == octets.readableBytes { input = nil } else { input?.moveReaderIndex(forwardBy: consumed) }
        switch result {
        case .needMore:
            return
        case .failure(let error):
            loop.log.warning(
                "proxy-header-refused", ["session": sessionID, "client": client.literal, "reason": "\(error)"])
            context?.close(promise: nil)
        case .header(let header):
            arrival.headerDecoder = ProxyHeaderDecoder()
            switch header {
            case .local:
                identify()
            case .unknown:
                loop.log.warning(
                    "proxy-header-refused",
                    ["session": sessionID, "client": client.literal, "reason": "it does not tell whom it brings"])
                context?.close(promise: nil)
            case .proxied(let connection):
                loop.log.debug(
                    "proxied",
                    ["session": sessionID, "proxy": client.literal, "client": "\(connection.source)"])
                client = ClientAddress(connection)
                session.restart(ServerSession.Peer(literal: client.literal), configuration: sessionConfiguration)
                identify()
            }
            if input != nil { inputBeforeGreeting() }
        }
    }

    // MARK: ident and whoson

    private func identify() {
        phase = .connecting
        if let address = client.address {
            session.surroundings.mayChangeClient = profile.configuration.xclients.contains { $0.contains(address) }
        }
        let plan = loop.settings.lookups
        guard plan.asksIdent || plan.whoson != nil, let ends = client.ends else { return announce() }
        arrival.isAsking = true
        let bound = NIOLoopBound(self, eventLoop: loop.loop)
        ClientLookups.run(loop.loop, plan, client: ends.client, own: ends.own) { bound.value.identified($0) }
    }

    private func identified(_ findings: ClientLookups.Findings) {
        arrival.isAsking = false
        arrival.ident = findings.ident
        arrival.whoson = findings.whoson
        loop.log.info(
            "identified",
            [
                "session": sessionID, "client": client.literal, "ident": findings.ident ?? "-",
                "whoson": Self.words(findings.whoson),
            ])
        if phase == .connecting { announce() }
    }

    private static func words(_ whoson: WhosonReply?) -> String {
        switch whoson {
        case nil: "-"
        case .loggedIn(let name)?: name
        case .notLoggedIn?: "not-logged-in"
        case .unavailable?: "unavailable"
        }
    }

    // MARK: the policy

    func connectionDecided(_ answer: PolicyAnswer?) {
        guard let context else { return }
        session.take(policy)
        takeTrust()
        // A name that XCLIENT tells is as good as one that was looked up; what the policy makes of names is its own.
        if session.peer.name == nil, case .given(let name)? = attributes?.name { session.peer.name = name.description }
        arrival.reason = answer?.reason ?? PolicyAnswer.unanswered
        let hostName = loop.settings.hostName
        let greeting = ServerSession.Greeting(
            answer,
            lines: Greeting.lines(
                profile.configuration, hostName: hostName, peer: client.literal, localPort: client.localPort,
                date: loop.date, asksIdent: loop.settings.options.asksIdent),
            hostName: hostName)
        guard let greeting else {
            loop.log.info(
                "dropped",
                ["session": sessionID, "client": client.literal, "command": "connect", "reason": arrival.reason])
            context.close(promise: nil)
            return
        }
        arrival.greeting = greeting
        if profile.configuration.usesTCPWrapper, client.address != nil { askWrapper() } else { secure() }
    }

    func takeTrust() {
        session.surroundings.isTrusted = policy.isTrusted
        session.surroundings.mayBeTrusted = policy.trust == .unknown
    }

    // MARK: TCP wrappers

    private func askWrapper() {
        arrival.isAsking = true
        let bound = NIOLoopBound(self, eventLoop: loop.loop)
        let eventLoop = loop.loop
        let request = HostAccess.Request(
            service: "smtp-receiver", clientName: session.peer.name, address: client.address?.description ?? "",
            user: arrival.ident)
        HostAccess.check(request, tables: loop.settings.wrapperTables) { verdict in
            eventLoop.execute { bound.value.wrapperDecided(verdict) }
        }
    }

    private func wrapperDecided(_ verdict: HostAccess.Verdict) {
        arrival.isAsking = false
        guard phase == .connecting else { return }
        let hostName = loop.settings.hostName
        switch verdict {
        case .allowed:
            break
        case .denied:
            arrival.reason = "hosts.deny"
            let text = "\(hostName) ZMailer Server WILL NOT TALK TO YOU at \(loop.date)"
            arrival.greeting = .close(Reply(421, EnhancedStatusCode(4, 7, 0), text))
        case .unavailable(let reason):
            arrival.reason = "TCP wrappers: \(reason)"
            arrival.greeting = .close(
                Reply(421, EnhancedStatusCode(4, 3, 0), "\(hostName) Service not available, try later"))
        }
        secure()
    }

    // MARK: TLS

    private func secure() {
        if tls != nil {
            // XCLIENT in a session with TLS.
            greet()
        } else if profile.role.service == .smtps {
            beginHandshake()
        } else if detectsImmediateHandshake {
            if input == nil { delay(milliseconds: Self.immediateHandshakeDelay) } else { takeImmediateHandshake() }
        } else {
            delayGreeting()
        }
    }

    /// `outlook-tls-bug`: a client of another port than 25 may begin with TLS.
    private var detectsImmediateHandshake: Bool {
        let settings = profile.configuration.tls
        return settings.detectsImmediateHandshake && settings.isOn && client.localPort != 25
    }

    /// 0x16 is a record of TLS, 0x80 the hello of SSL 2 that old clients began with; anything else is a client that talks early.
    private func takeImmediateHandshake() {
        let first = input?.getInteger(at: input?.readerIndex ?? 0, as: UInt8.self)
        if first == 0x16 || first == 0x80 {
            beginHandshake()
        } else {
            arrival.hasTalkedEarly = true
            judgeEarlyTalker()
        }
    }

    // MARK: the greeting

    private func delayGreeting() {
        if arrival.hasTalkedEarly, profile.configuration.earlyTalker != .ignore, refuseEarlyTalker() { return }
        let seconds = profile.configuration.greetingDelay
        if seconds > 0, !policy.isTrusted, case .welcome? = arrival.greeting {
            delay(milliseconds: Int64(seconds) * 1000)
        } else {
            greet()
        }
    }

    /// Behind the wait for it to begin with TLS.
    private func judgeEarlyTalker() {
        if profile.configuration.earlyTalker == .ignore || !refuseEarlyTalker() { greet() }
    }

    private func delay(milliseconds: Int64) {
        phase = .delaying
        arrival.delay?.cancel()
        let bound = NIOLoopBound(self, eventLoop: loop.loop)
        arrival.delay = loop.loop.scheduleTask(in: .milliseconds(milliseconds)) { bound.value.delayIsOver() }
    }

    private func delayIsOver() {
        guard phase == .delaying else { return }
        arrival.delay?.cancel()
        phase = .connecting
        if detectsImmediateHandshake, input != nil { takeImmediateHandshake() } else { greet() }
    }

    /// `true`: the session ends with that.
    @discardableResult
    private func refuseEarlyTalker() -> Bool {
        let isRefused = profile.configuration.earlyTalker == .refuse && !policy.isTrusted
        loop.log.info(
            "early-talker",
            ["session": sessionID, "client": client.literal, "refused": isRefused ? "yes" : "no"])
        guard isRefused else { return false }
        arrival.reason = "early-talker"
        // RFC 5321 §4.3.1: the client waits for the greeting.
        let text = "\(loop.settings.hostName) Error: you talked before the greeting, closing"
        arrival.greeting = .close(Reply(554, EnhancedStatusCode(5, 5, 1), text))
        greet()
        return true
    }

    func greet() {
        guard let greeting = arrival.greeting else { return }
        arrival.greeting = nil
        phase = .open
        logConnection()
        isActive(loop.timeouts.command)
        standingReason = arrival.reason
        reply { replies in
            session.greet(greeting, into: &replies)
            pendingReason = arrival.reason
            logRefusals(event: "connection-refused")
        }
    }
}
