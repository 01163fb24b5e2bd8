import AgentProtocol
import FuzzSupport
import MailModel

/// Properties, of both sides of mailq's version 2: the same however the octets are split; nothing after the end; what is sent
/// is whole lines that hold no control character. Of scheduler.auth: what is read was right, line for line.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzMailq(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    switch input.variant % 3 {
    case 0: fuzzServer(input)
    case 1: fuzzClient(input)
    default: fuzzAccounts(input.octets)
    }
    return 0
}

private func fuzzServer(_ input: Input) {
    func run(_ pieces: [[UInt8]]) -> [MailqServerSession.Action] {
        var session = MailqServerSession(nonce: "n")
        if input.variant & 4 != 0 { _ = session.authenticated(rights: MailqRights(rawValue: input.variant >> 3)) }
        var actions: [MailqServerSession.Action] = []
        for piece in pieces {
            session.append(piece)
            while let action = session.next() {
                actions.append(action)
                if case .authenticate = action { actions.append(session.refused()) }
            }
        }
        return actions
    }
    let whole = run([input.octets])
    precondition(whole == run(input.pieces), "answers depend on the split")
    for (index, action) in whole.enumerated() {
        switch action {
        case .send(let text): precondition(isLines(text))
        case .close(let text):
            precondition(isLines(text) || text.isEmpty)
            precondition(index == whole.count - 1, "something follows the end")
        case .etrn(let target, _): precondition(ETRNTarget(target.description) == target)
        case .act(let deed, let target):
            precondition(isLines(MailqServerSession.answer(deed, .done)))
            if case .thread(let channel, let host) = target { precondition(!channel.isEmpty && !host.isEmpty) }
        case .authenticate, .list: break
        }
    }
}

private func fuzzClient(_ input: Input) {
    func run(_ pieces: [[UInt8]]) -> [MailqClientSession.Action] {
        let digest: @Sendable ([UInt8]) -> [UInt8]? = { [UInt8($0.count & 255)] }
        var session =
            input.variant & 4 != 0
            ? MailqClientSession(user: "u", password: "secret", show: "QUEUE SHORT", digest: digest)
            : MailqClientSession(user: "u", password: "secret", target: .host("a"), remark: "r", digest: digest)
        return pieces.flatMap { session.received($0) } + [session.ended()].compactMap { $0 }
    }
    let whole = run([input.octets])
    precondition(whole == run(input.pieces), "the dialogue depends on the split")
    let ends = whole.count { if case .finished = $0 { true } else { false } }
    precondition(ends == 1, "\(ends) ends")
    for action in whole {
        if case .send(let octets) = action { precondition(isLines(Octets.text(octets[...]))) }
        if case .line(let text) = action { precondition(isLines(text + "\n")) }
    }
}

private func fuzzAccounts(_ octets: [UInt8]) {
    do throws(MailqAccounts.SyntaxErrors) {
        let accounts = try MailqAccounts(parsing: octets)
        precondition(accounts.accounts.allSatisfy { !$0.user.isEmpty && !$0.password.isEmpty })
        precondition(accounts.accounts.count <= octets.count { $0 == 0x0a } + 1)
    } catch {
        precondition(!error.errors.isEmpty)
    }
}

private func isLines(_ text: String) -> Bool {
    text.utf8.last == 0x0a && text.utf8.dropLast().allSatisfy { $0 >= 0x20 && $0 != 0x7f }
}
