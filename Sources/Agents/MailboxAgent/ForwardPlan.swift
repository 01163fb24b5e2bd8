import MailModel
import Routing

/// What a user's `.forward` asks for, in kinds.
struct ForwardPlan: Hashable {
    /// His own mailbox is among the targets.
    private(set) var keepsOwn = false
    /// Of `user+detail`, where he names his own mailbox so.
    private(set) var ownDetail: String?
    private(set) var addresses: [String] = []
    /// Without their `|`.
    private(set) var commands: [String] = []
    private(set) var files: [String] = []

    /// `user`: the account's name. `recipient`: the address of the envelope that led here.
    init(_ targets: [AliasTarget], user: String, recipient: Mailbox?, hostName: String) {
        let ownDomains = Set([recipient?.domain.key, asciiLowercased(hostName)].compactMap(\.self))
        for target in targets {
            switch target {
            case .name(let local), .mailbox(let local):
                if !keep(local, user) { addresses.append(local.encoded) }
            case .address(let mailbox):
                if mailbox == recipient {
                    keepsOwn = true
                } else if !ownDomains.contains(mailbox.domain.key) || !keep(mailbox.localPart, user) {
                    addresses.append("\(mailbox)")
                }
            case .command(let command): commands.append(String(command.dropFirst().drop { $0 == " " || $0 == "\t" }))
            case .file(let path): files.append(path)
            // Followed by the reader of the file.
            case .include: break
            }
        }
        // Comments alone say nothing.
        if targets.isEmpty { keepsOwn = true }
    }

    /// Nothing leaves the mailbox.
    var isOwnOnly: Bool { addresses.isEmpty && commands.isEmpty && files.isEmpty }
    /// How many results there will be; addresses have one in common.
    var parts: Int { (keepsOwn ? 1 : 0) + (addresses.isEmpty ? 0 : 1) + commands.count + files.count }

    private mutating func keep(_ local: LocalPart, _ user: String) -> Bool {
        let parts = local.text.split(separator: "+", maxSplits: 1, omittingEmptySubsequences: false)
        guard let base = parts.first, asciiLowercased(base) == asciiLowercased(user) else { return false }
        keepsOwn = true
        if parts.count > 1 { ownDetail = String(parts[1]) }
        return true
    }
}
