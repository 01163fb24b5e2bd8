import Configuration
import Glibc
import MailModel
import NIOCore
import PolicyAsking
import ProgramKit
import SMTPProtocol
import Telemetry

/// Sessions at `submission-socket`: the client is a program of an account of this host.
extension SessionHandler {
    /// Counts the session, and finds out what the account is called; the policy is asked behind that.
    func identifyAccount(_ uid: uid_t) {
        phase = .connecting
        let count = loop.accountSessions.begin(uid)
        isCountedOfAccount = true
        let limit = profile.configuration.maximumSameSource
        guard count <= limit else {
            let text =
                "\(loop.settings.hostName) too many simultaneous connections of uid \(uid) (\(count) max \(limit))"
            return refuseAccount(
                Reply(421, EnhancedStatusCode(4, 7, 0), text), reason: "MaxSameIpSource \(count) max \(limit)")
        }
        arrival.isAsking = true
        let bound = NIOLoopBound(self, eventLoop: loop.loop)
        let eventLoop = loop.loop
        let settings = loop.settings
        loop.intake.pool.submit {
            do throws(SystemAccount.Failure) {
                let account = try LocalAccount.named(uid, settings)
                eventLoop.execute { bound.value.accountFound(account) }
            } catch {
                let reason = error.description
                eventLoop.execute { bound.value.accountNotFound(reason) }
            }
        }
    }

    private func accountFound(_ account: LocalAccount) {
        arrival.isAsking = false
        guard phase == .connecting else { return }
        client = ClientAddress(account)
        loop.log.info(
            "account",
            [
                "session": sessionID, "client": client.literal, "user": account.name, "uid": "\(account.uid)",
                "via": "local", "trusted": account.isTrusted ? "yes" : "no",
            ])
        session.restart(
            ServerSession.Peer(literal: client.literal), configuration: sessionConfiguration, user: account.name)
        policy.clientLoggedIn()
        announce()
    }

    /// A name service in trouble says nothing about the account.
    private func accountNotFound(_ reason: String) {
        arrival.isAsking = false
        guard phase == .connecting else { return }
        refuseAccount(
            Reply(421, EnhancedStatusCode(4, 3, 0), "\(loop.settings.hostName) cannot find out who you are, try later"),
            reason: reason)
    }

    private func refuseAccount(_ reply: Reply, reason: String) {
        arrival.reason = reason
        arrival.greeting = .close(reply)
        greet()
    }

    func uncountAccount() {
        guard isCountedOfAccount, let account = client.account else { return }
        isCountedOfAccount = false
        loop.accountSessions.end(account.uid)
    }
}
