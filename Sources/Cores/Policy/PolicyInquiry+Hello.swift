import MailModel

/// HELO and EHLO (policy.md §8).
extension PolicyInquiry {
    func hello() throws(PolicySuspension) -> PolicyAnswer {
        step(.chain, "helo", question.helo)
        if state.flags.contains(.alwaysReject) { return rejectedNet() }
        if state.flags.contains(.alwaysFreeze) { return freeze(state.reason) }
        if isAuthenticated { return accept("authenticated") }
        if !state.flags.isDisjoint(with: [.alwaysAccept, .fullTrust]) { return accept(state.reason) }
        var name = Array(asciiLowercased(question.helo).utf8)
        if name.last == UInt8(ascii: "."), name.count > 1 { name.removeLast() }
        // What an address literal says is the client's address, or a lie.
        guard let first = name.first, first != UInt8(ascii: "[") else { return accept("no name") }
        let findings = try findings(domain: name, [.rejectnet, .freezenet])
        if let found = findings.plus(.rejectnet) {
            set(.alwaysReject, "always_reject", findings, found)
            state.rejectText = text(found)
            return rejectedNet()
        }
        if let found = findings.plus(.freezenet) {
            set(.alwaysFreeze, "always_freeze", findings, found)
            return freeze(state.reason)
        }
        return accept("nothing against the name")
    }
}
