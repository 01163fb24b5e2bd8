import MailModel
import Policy

/// Tables of a small instance: mail for example.test is here, backup.test and all below gateway.test are passed on.
struct FakeTables: LegacyPolicyTables {
    var isBroken = false

    private func check() throws(PolicyTrouble) { if isBroken { throw PolicyTrouble("aliases:3: wrong") } }

    func isOwnAddress(_ address: IPAddress) -> Bool { "\(address)" == "192.0.2.25" }

    func localDomain(_ domain: MailDomain) throws(PolicyTrouble) -> String? {
        try check()
        switch domain.key {
        case "example.test": return "localnames:1"
        case "[192.0.2.25]": return "own address"
        default: return nil
        }
    }

    func relayTarget(_ domain: MailDomain) throws(PolicyTrouble) -> String? {
        try check()
        if domain.key == "backup.test" { return "smtp-policy.mx:1" }
        return domain.key.hasSuffix(".gateway.test") ? "smtp-policy.mx:2" : nil
    }

    func relayClient(_ address: IPAddress) throws(PolicyTrouble) -> RelayClient? {
        try check()
        switch "\(address)" {
        case "10.0.0.1": return RelayClient(submits: false, origin: "smtp-policy.relay:1")
        case "10.0.0.2": return RelayClient(submits: true, origin: "smtp-policy.relay:2")
        default: return nil
        }
    }

    func localRecipient(_ localPart: String) throws(PolicyTrouble) -> String? {
        try check()
        switch asciiLowercased(localPart.split(separator: "+").first ?? "") {
        case "alice", "john doe": return "users:1"
        case "team", "a%b": return "aliases:1"
        default: return nil
        }
    }

    func destinations(_ address: String, expanding: Bool) throws(PolicyTrouble) -> [Destination] {
        try check()
        switch address {
        case "alice", "alice@example.test": return [Destination(channel: "local", host: "-", user: "alice")]
        case "team":
            return expanding
                ? [
                    Destination(channel: "local", host: "-", user: "alice"),
                    Destination(channel: "smtp", host: "there.test", user: "bob@there.test"),
                    Destination(channel: "local", host: "pipe.team", user: "|/secret/program"),
                    Destination(channel: "error", host: "nosuchuser", user: "ghost@example.test"),
                ] : [Destination(channel: "local", host: "-", user: "team")]
        case "crowd":
            return (0..<150).map { Destination(channel: "local", host: "-", user: "user\($0)") }
        case "bob@there.test": return [Destination(channel: "smtp", host: "there.test", user: address)]
        case "broken": return [Destination(channel: "error", host: "expansion", user: address)]
        default: return [Destination(channel: "error", host: "nosuchuser", user: address)]
        }
    }
}
