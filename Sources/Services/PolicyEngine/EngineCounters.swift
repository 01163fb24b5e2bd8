import MailModel
import Policy
import Telemetry

/// What the engine counts, as decisions read it. Confined to one thread.
final class EngineCounters: PolicyCounters {
    var connectionCounts = ConnectionCounts()
    private var rates = RateCounters<RateKey>(limit: 200_000)
    private var authFailures = RateCounters<RateKey>(limit: 200_000)
    /// By account of this host.
    private var accountRates = RateCounters<String>(limit: 50_000)
    /// By user: strangers choose the names.
    private var userAuthFailures = RateCounters<String>(limit: 50_000)
    private let greylist: Greylist
    private let clock: PolicyEngine.Clock

    init(greylist: Greylist, clock: PolicyEngine.Clock) {
        self.greylist = greylist
        self.clock = clock
    }

    var now: Int64 { clock.seconds() }
    var totalConnections: Int { connectionCounts.total }
    func connections(of address: IPAddress) -> Int { connectionCounts.count(address) }
    func messages(_ key: RateKey) -> Int { rate(key).messages }
    func messages(ofAccount name: String) -> Int { accountRates.count(name, now: second).messages }
    func recipients(_ key: RateKey) -> Int { rate(key).recipients }
    func firstSeen(_ key: GreylistKey) -> Int64? { greylist.firstSeen("\(key)", now: now) }

    func authFailures(_ key: RateKey) -> Int { authFailures.count(key, now: second).messages }
    func authFailures(as user: String) -> Int { userAuthFailures.count(user, now: second).messages }

    private func rate(_ key: RateKey) -> RateCounters<RateKey>.Count { rates.count(key, now: second) }
    /// Of a clock that never goes back.
    private var second: Int64 { clock.milliseconds() / 1000 }

    /// A message was stored for so many recipients, of an account of this host if it has a name.
    func stored(_ client: IPAddress?, account: String, recipients: Int) {
        if (1...Self.maximumNameLength).contains(account.utf8.count) {
            accountRates.add(account, messages: 1, recipients: recipients, now: second)
        }
        guard let key = RateKey(client: client) else { return }
        rates.add(key, messages: 1, recipients: recipients, now: second)
    }

    /// Octets of a user's name that is counted.
    private static let maximumNameLength = 255

    /// A login has failed, as a user if one was named.
    func authFailed(_ client: IPAddress?, as user: String) {
        if let key = RateKey(client: client) { authFailures.add(key, messages: 1, recipients: 0, now: second) }
        guard (1...Self.maximumNameLength).contains(user.utf8.count) else { return }
        userAuthFailures.add(user, messages: 1, recipients: 0, now: second)
    }

    func apply(_ effect: PolicyEffect) {
        switch effect {
        case .sawGreylist(let key), .passedGreylist(let key): greylist.saw("\(key)", now: now)
        // Said by ListHealth when the answer came, not each time it is looked at.
        case .wrongList: break
        }
    }
}
