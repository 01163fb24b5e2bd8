import MailModel

/// HELO and EHLO (policy.md §8). What the name does shows at MAIL: no reply to HELO says it, and so the name need not be asked
/// about before.
extension PolicyInquiry {
    func hello() throws(PolicySuspension) -> PolicyAnswer {
        if state.flags.contains(.alwaysReject) { return rejectedNet() }
        if state.flags.contains(.alwaysFreeze) { return freeze(state.reason) }
        try checkHello()
        return accept(
            state.flags.isDisjoint(with: [.alwaysReject, .alwaysFreeze]) ? "nothing against the name" : state.reason)
    }

    /// Sets the flags that the name of the client in its HELO gives.
    func checkHello() throws(PolicySuspension) {
        guard !question.helo.isEmpty, !isAuthenticated, state.flags.isDisjoint(with: [.alwaysAccept, .fullTrust]) else {
            return
        }
        step(.chain, "helo", question.helo)
        state.flags.insert(.checkedHello)
        var name = Array(asciiLowercased(question.helo).utf8)
        if name.last == UInt8(ascii: "."), name.count > 1 { name.removeLast() }
        // What an address literal says is the client's address, or a lie.
        guard name.first != UInt8(ascii: "[") else { return }
        let findings = try findings(domain: name, [.rejectnet, .freezenet])
        if let found = findings.plus(.rejectnet) {
            set(.alwaysReject, "always_reject", findings, found)
            state.rejectText = text(found)
        } else if let found = findings.plus(.freezenet) {
            set(.alwaysFreeze, "always_freeze", findings, found)
        }
    }
}
