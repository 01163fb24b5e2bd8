import MailModel
import Policy
import Telemetry

/// What the engine counts, as decisions read it. Confined to one thread.
final class EngineCounters: PolicyCounters {
    var connectionCounts = ConnectionCounts()
    private var rates = RateCounters()
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
    func recipients(_ key: RateKey) -> Int { rate(key).recipients }
    func firstSeen(_ key: GreylistKey) -> Int64? { greylist.firstSeen("\(key)", now: now) }

    private func rate(_ key: RateKey) -> RateCounters.Count { rates.count(key, now: clock.milliseconds() / 1000) }

    /// A message was stored for so many recipients.
    func stored(_ client: IPAddress?, recipients: Int) {
        guard let key = RateKey(client: client) else { return }
        rates.add(key, messages: 1, recipients: recipients, now: clock.milliseconds() / 1000)
    }

    func apply(_ effect: PolicyEffect) {
        switch effect {
        case .sawGreylist(let key), .passedGreylist(let key): greylist.saw("\(key)", now: now)
        // Said by ListHealth when the answer came, not each time it is looked at.
        case .wrongList: break
        }
    }
}
