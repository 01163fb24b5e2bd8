import Configuration
import MailModel
import NIOCore
import Policy
import PolicyAsking
import SASL
import SMTPProtocol
import Telemetry
import TransportSecurity

/// AUTH: the dialogue of the mechanism is run here, passwords are checked by a process that may (docs/security.md).
extension SessionHandler {
    func authenticate(_ step: AuthenticationStep, _ replies: inout [UInt8]) {
        switch step {
        case .begin(let name, let initialResponse):
            countAbandoned()
            isFailureCounted = false
            guard let mechanism = SASLMechanism(name: name) else {
                session.answer(
                    .reply(Reply(504, EnhancedStatusCode(5, 5, 4), "Unrecognized authentication type")), into: &replies)
                return
            }
            let prompts = profile.configuration.authentication
            exchange = SASLServerExchange(
                mechanism, nonce: Self.newNonce(), bindings: channelBindings,
                prompts: LoginPrompts(user: prompts.userPrompt, password: prompts.passwordPrompt))
            perform(exchange?.begin(initialResponse: initialResponse), &replies)
        case .response(let octets):
            perform(exchange?.received(octets), &replies)
        }
    }

    private static func newNonce() -> ServerNonce {
        var generator = SystemRandomNumberGenerator()
        return ServerNonce(random: (0..<24).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }

    private var channelBindings: ChannelBindings {
        guard let tls else { return .none }
        var values: [String: [UInt8]] = [:]
        for type in ChannelBinding.allCases { values[type.rawValue] = tls.channelBinding(type) }
        return ChannelBindings(
            values, isOffered: profile.session.values.mechanisms.contains(SASLMechanism.scramSHA256Plus.name))
    }

    private func perform(_ action: SASLServerExchange.Action?, _ replies: inout [UInt8]) {
        switch action {
        case .challenge(let octets)?:
            session.answer(.challenge(octets), into: &replies)
        case .check(let question)?:
            pendingCredentials = question
            attemptBegan = .now()
            var asked = self.question(.auth)
            asked.authenticatedUser = question.user.text
            ask(asked)
        case .succeeded(let user)?:
            loop.log.info(
                "authenticated",
                [
                    "session": sessionID, "client": client.literal, "user": user.text, "mechanism": mechanismName,
                    "tls": tlsInfo?.protocolName ?? "-",
                ])
            exchange = nil
            isAttemptOpen = false
            loop.intake.metrics.authentications.add(.succeeded)
            policy.clientLoggedIn()
            session.answer(.authenticated(user: user.text), into: &replies)
        case .failed(let failure)?:
            failed(failure, &replies)
        case nil:
            // A response without an exchange: the session does not let it come to that.
            session.answer(.reply(Self.unavailable), into: &replies)
        }
    }

    private var mechanismName: String { exchange?.mechanism.name ?? "-" }

    private static let unavailable = Reply(454, EnhancedStatusCode(4, 7, 0), "Temporary authentication failure")

    private func failed(_ failure: SASLFailure, _ replies: inout [UInt8]) {
        let user = exchange?.claimedUser?.text ?? "-"
        let reply =
            switch failure.consequence {
            case .syntaxError: Reply(501, EnhancedStatusCode(5, 5, 2), "Cannot make sense of the response")
            case .rejection: Reply(535, EnhancedStatusCode(5, 7, 8), "Authentication Failed")
            case .temporaryFailure: Self.unavailable
            }
        if failure.consequence == .rejection {
            countFailure(user, failure.description)
        } else {
            isAttemptOpen = false
            if failure.consequence == .temporaryFailure { loop.intake.metrics.authentications.add(.trouble) }
            logFailure(user, failure.description)
        }
        exchange = nil
        pendingReason = failure.description
        pendingCommand = "AUTH"
        session.answer(.reply(reply), into: &replies)
    }

    /// The policy service has said whether this client may try.
    func attemptDecided(_ answer: PolicyAnswer?) {
        guard let question = pendingCredentials else { return }
        guard answer?.verdict == .accept else {
            exchange = nil
            isAttemptOpen = false
            pendingCredentials = nil
            pendingReason = answer?.reason ?? PolicyAnswer.unanswered
            pendingCommand = "AUTH"
            reply { session.answer(answer.map { ServerSession.Answer($0) } ?? .reply(Self.unavailable), into: &$0) }
            return
        }
        pendingCredentials = nil
        isAttemptOpen = true
        arrival.isAsking = true
        let bound = NIOLoopBound(self, eventLoop: loop.loop)
        CredentialClient.ask(
            loop.loop, path: loop.settings.credentialSocket, CredentialRequest(client: client.address, question)
        ) { bound.value.credentialsChecked($0) }
    }

    /// After which a wrong password is told, whatever it took to find out: guessing is slow, and time tells nothing.
    static let refusalDelay = TimeAmount.seconds(2)

    private func credentialsChecked(_ answer: CredentialAnswer) {
        guard answer == .refused else { return conclude(answer) }
        // At once, and whatever has become of the client: one that goes before it is told has failed too.
        countFailure(exchange?.claimedUser?.text ?? "-", "invalid credentials")
        let bound = NIOLoopBound(self, eventLoop: loop.loop)
        loop.loop.scheduleTask(deadline: attemptBegan + Self.refusalDelay) { bound.value.conclude(answer) }
    }

    /// An attempt that was checked, in whole or in part, and never came to its end: the next one began, or the client went.
    func countAbandoned() {
        guard isAttemptOpen else { return }
        countFailure(exchange?.claimedUser?.text ?? "-", "given up by the client")
    }

    /// Once for each attempt.
    private func countFailure(_ user: String, _ reason: String) {
        guard isAttemptOpen || exchange != nil else { return }
        let isCounted = isFailureCounted
        isAttemptOpen = false
        isFailureCounted = true
        guard !isCounted else { return }
        loop.intake.metrics.authentications.add(.refused)
        logFailure(user, reason)
        var told = question(.authFailed)
        told.authenticatedUser = user
        loop.policy.tell(told)
    }

    private func logFailure(_ user: String, _ reason: String) {
        loop.log.info(
            "authentication-failed",
            [
                "session": sessionID, "client": client.literal, "user": user, "mechanism": mechanismName,
                "reason": reason,
            ])
    }

    private func conclude(_ answer: CredentialAnswer) {
        arrival.isAsking = false
        guard phase == .open, exchange != nil else { return }
        isActive(loop.timeouts.command)
        reply { perform(exchange?.answered(answer), &$0) }
    }
}
