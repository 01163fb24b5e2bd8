import MailModel
import Testing

@testable import SASL

@Suite("Questions and answers as lines") struct CredentialLineTests {
    static let requests = [
        CredentialRequest(client: nil, .password(user: alice, secret("sesame"))),
        CredentialRequest(client: IPAddress("192.0.2.1"), .password(user: name("a,b=c:d"), secret("\t \n\u{1}"))),
        CredentialRequest(
            client: IPAddress("2001:db8::1"),
            .password(
                user: name(String(repeating: "ü", count: 128)), Secret([UInt8](repeating: 255, count: 1024)))),
        CredentialRequest(client: IPAddress("::1"), .scramParameters(user: name("😀"))),
        CredentialRequest(
            client: nil, .scramProof(user: alice, authMessage: Array("n=alice".utf8), clientProof: digest)),
    ]
    static let answers: [CredentialAnswer] = [
        .accepted(canonicalName: nil), .accepted(canonicalName: name("Alice")), .refused, .unavailable(reason: ""),
        .unavailable(reason: "pam: System error"), .scramParameters(parameters()),
        .scramParameters(parameters("x", 1_000_000)), .scramAccepted(serverSignature: digest),
    ]

    @Test("each comes back as it was", arguments: requests)
    func requestRoundTrip(request: CredentialRequest) {
        #expect(request.line.count <= CredentialLine.maximumLength)
        #expect(CredentialRequest(line: request.line) == request)
    }

    @Test("each comes back as it was", arguments: answers)
    func answerRoundTrip(answer: CredentialAnswer) {
        #expect(CredentialAnswer(line: answer.line) == answer)
    }

    @Test("what is cut off, longer, or followed by something is no line", arguments: requests)
    func damagedRequests(request: CredentialRequest) {
        let line = request.line
        for count in 0..<line.count { #expect(CredentialRequest(line: line[..<count]) == nil) }
        for more in ["\n", "x", "\t", "\tx\n", "\0"] {
            #expect(CredentialRequest(line: line + Array(more.utf8)) == nil)
        }
        #expect(CredentialRequest(line: line.dropLast() + [0x0d, 0x0a]) == nil)
        #expect(CredentialRequest(line: line.dropLast() + [0x09, 0x0a]) == nil)
    }

    @Test("what is cut off, longer, or followed by something is no line", arguments: answers)
    func damagedAnswers(answer: CredentialAnswer) {
        let line = answer.line
        for count in 0..<line.count { #expect(CredentialAnswer(line: line[..<count]) == nil) }
        for more in ["\n", "x", "\tx\n"] { #expect(CredentialAnswer(line: line + Array(more.utf8)) == nil) }
    }

    @Test("a changed octet gives another value or none, and never two lines for one value")
    func changedOctets() {
        for request in Self.requests where request.line.count < 200 {
            for index in request.line.indices {
                for octet in UInt8.min...UInt8.max {
                    var line = request.line
                    line[index] = octet
                    if let other = CredentialRequest(line: line) { #expect(other.line == line) }
                }
            }
        }
    }

    @Test(
        "lines that nobody writes",
        arguments: [
            "\n", "password\n", "password\t\tYWxpY2U=\n", "password\t\t\tc2VzYW1l\n", "password\t\tYWxpY2U=\t\n",
            "password\tx\tYWxpY2U=\tc2VzYW1l\n", "password\t192.0.2.1 \tYWxpY2U=\tc2VzYW1l\n",
            "password\t2001:DB8::1\tYWxpY2U=\tc2VzYW1l\n", "PASSWORD\t\tYWxpY2U=\tc2VzYW1l\n",
            "password\t\tYWxpY2U\tc2VzYW1l\n", "password\t\tYWxp Y2U=\tc2VzYW1l\n", "password\t\tCg==\tc2VzYW1l\n",
            "password\t\tYWxpY2U=\tAA==\n", "scram-parameters\t\tYWxpY2U=\t\n", "scram-proof\t\tYWxpY2U=\tYQ==\tYQ==\n",
            "scram-proof\t\tYWxpY2U=\t\tBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n",
        ])
    func strangeRequests(line: String) {
        #expect(CredentialRequest(line: line.utf8) == nil)
    }

    @Test(
        "lines that nobody writes",
        arguments: [
            "\n", "accepted\n", "accepted\tCg==\n", "accepted\t\t\n", "Accepted\t\n", "refused\t\n", "unavailable\n",
            "unavailable\tCg==\n", "unavailable\t/w==\n", "scram-parameters\t4095\tc2FsdA==\n",
            "scram-parameters\t1000001\tc2FsdA==\n", "scram-parameters\t04096\tc2FsdA==\n",
            "scram-parameters\t-4096\tc2FsdA==\n", "scram-parameters\t4096\t\n", "scram-accepted\tYQ==\n",
            "scram-accepted\t\n",
        ])
    func strangeAnswers(line: String) {
        #expect(CredentialAnswer(line: line.utf8) == nil)
    }

    @Test("a reason is one line of bounded length, cut between characters")
    func reasons() {
        let long = CredentialAnswer.unavailable(reason: "a" + String(repeating: "ü", count: 400) + "\n\t")
        #expect(
            CredentialAnswer(line: long.line) == .unavailable(reason: "a" + String(repeating: "ü", count: 149)))
        #expect(
            CredentialAnswer(line: CredentialAnswer.unavailable(reason: "a\nb\tc").line)
                == .unavailable(reason: "a b c"))
    }
}
