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
        let count = loop.accounts.begin(uid)
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
        loop.accounts.find(uid) { result in eventLoop.execute { bound.value.accountFound(result) } }
    }

    private func accountFound(_ result: Result<LocalAccount, SystemAccount.Failure>) {
        arrival.isAsking = false
        guard phase == .connecting else { return }
        switch result {
        case .success(let account): takeAccount(account)
        // A name service in trouble says nothing about the account.
        case .failure(let failure):
            let text = "\(loop.settings.hostName) cannot find out who you are, try later"
            refuseAccount(Reply(421, EnhancedStatusCode(4, 3, 0), text), reason: failure.description)
        }
    }

    private func takeAccount(_ account: LocalAccount) {
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

    private func refuseAccount(_ reply: Reply, reason: String) {
        arrival.reason = reason
        arrival.greeting = .close(reply)
        greet()
    }

    func uncountAccount() {
        guard isCountedOfAccount, let account = client.account else { return }
        isCountedOfAccount = false
        loop.accounts.end(account.uid)
    }
}
