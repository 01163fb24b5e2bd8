import FuzzSupport
import MailModel
import SASL

/// Octets that come for a line of a question, of an answer, or of a table.
///
/// Property: what is taken for one is exactly the line of the value that it gives; and every name with every password comes back.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzCredentialLine(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    let octets = input.octets
    if let request = CredentialRequest(line: octets) {
        precondition(request.line == octets && octets.count <= CredentialLine.maximumLength)
    }
    if let answer = CredentialAnswer(line: octets) {
        precondition(answer.line == octets && octets.count <= CredentialLine.maximumLength)
    }
    checkEntry(octets)
    checkQuestion(octets.split(separator: 0xff, maxSplits: 1, omittingEmptySubsequences: false).map(Array.init))
    return 0
}

private func checkEntry(_ octets: [UInt8]) {
    for line in octets.split(separator: 0x0a) {
        guard let entry = try? CredentialEntry.parse(line) else { continue }
        let again = try? CredentialEntry.parse(Array(entry.line.utf8)[...])
        precondition(again == entry)
        precondition(!entry.credential.kind.isEmpty)
    }
}

private func checkQuestion(_ parts: [[UInt8]]) {
    guard parts.count == 2, let user = UserName(parts[0]) else { return }
    let isPossible = (1...1024).contains(parts[1].count) && !parts[1].contains(0)
    let request = CredentialRequest(client: nil, .password(user: user, Secret(parts[1])))
    precondition(CredentialRequest(line: request.line) == (isPossible ? request : nil))
    let answer = CredentialAnswer.unavailable(reason: String(decoding: parts[1], as: UTF8.self))
    guard let back = CredentialAnswer(line: answer.line) else { preconditionFailure("an answer is lost") }
    precondition(back.line == answer.line)
}
