/// How long each step may take (`-T`; RFC 5321 §4.5.3.2 gives the minima that the defaults follow).
struct Timeouts: Hashable, Sendable {
    /// Until a connection stands (`conn`).
    var connect: Duration = .seconds(180)
    /// Of one write (`tcpw`).
    var write: Duration = .seconds(300)
    /// Until the greeting or the reply to a command (`cmd`).
    var command: Duration = .seconds(300)
    /// Until the reply to DATA (`data`).
    var data: Duration = .seconds(120)
    /// Until the reply to the final dot, or to a chunk (`dot`).
    var dot: Duration = .seconds(1200)
    /// All of a job, whatever its hosts do with the limits above, octet by octet if need be: the scheduler takes a job of three hours
    /// for lost, and ends the agent with all others that it has in hand.
    var job: Duration = .seconds(9000)
    /// An idle connection is kept this long.
    var idle: Duration = .seconds(60)

    init() {}

    /// Reads `conn=1m,cmd=30s`; a value without a name is `cmd`. `nil` if a name or a time is unknown, or a time is 0.
    init?(_ text: some StringProtocol) {
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let words = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let last = words.last, let duration = TimeNotation.duration(last), duration > .zero else {
                return nil
            }
            switch words.count == 1 ? "cmd" : words[0] {
            case "conn": connect = duration
            case "tcpw": write = duration
            case "cmd": command = duration
            case "data": data = duration
            case "dot": dot = duration
            case "idle": idle = duration
            default: return nil
            }
        }
    }
}
