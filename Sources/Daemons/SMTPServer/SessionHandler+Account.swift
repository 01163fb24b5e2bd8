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
        let place = loop.accounts.begin(uid)
        accountPlace = place
        let holder = place.holder == .nobody ? "uids without an account" : "uid \(uid)"
        for (what, parameter, count, limit) in [
            (holder, "MaxSameIpSource", place.ofHolder, profile.configuration.maximumSameSource),
            ("this host's users", "MaxParallelConnections", place.total, profile.configuration.maximumParallel),
        ] where count > limit {
            let text =
                "\(loop.settings.hostName) too many simultaneous connections of \(what) (\(count) max \(limit))"
            return refuseAccount(
                Reply(421, EnhancedStatusCode(4, 7, 0), text), reason: "\(parameter) \(count) max \(limit)")
        }
        arrival.isAsking = true
        let bound = NIOLoopBound(self, eventLoop: loop.loop)
        let eventLoop = loop.loop
        let patience = eventLoop.scheduleTask(in: .seconds(Int64(loop.timeouts.account))) {
            bound.value.accountFound(.failure(SystemAccount.Failure(code: ETIMEDOUT)))
        }
        loop.accounts.find(uid) { result in
            eventLoop.execute {
                patience.cancel()
                bound.value.accountFound(result)
            }
        }
    }

    private func accountFound(_ result: Result<LocalAccount, SystemAccount.Failure>) {
        guard phase == .connecting, arrival.isAsking else { return }
        arrival.isAsking = false
        switch result {
        case .success(let account) where account.exists || account.isTrusted: takeAccount(account)
        case .success(let account):
            // May be a name service that does not know everybody just now: later, and not never.
            let text =
                "\(loop.settings.hostName) uid \(account.uid) has no account on this host and may not submit mail"
            refuseAccount(Reply(421, EnhancedStatusCode(4, 7, 0), text), reason: "no account of uid \(account.uid)")
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
        guard let place = accountPlace else { return }
        accountPlace = nil
        loop.accounts.end(place)
    }
}
