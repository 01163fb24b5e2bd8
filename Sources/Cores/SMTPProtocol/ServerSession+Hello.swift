import MailModel

/// HELO, EHLO, LHLO (RFC 5321 §4.1.1.1).
extension ServerSession {
    mutating func receiveHello(_ kind: Hello.Kind, _ argument: String, into replies: inout [UInt8]) -> Action? {
        let argument = Self.printable(argument.utf8, limit: 255)
        let isValid = MailDomain(argument) != nil
        let mustBeValid = configuration.values.checksHelloSyntax && configuration.values.isSkeptical
        if mustBeValid ? !isValid : argument.isEmpty && !style.isSloppy {
            let text =
                argument.isEmpty
                ? "a domain name or an address literal is required" : "not a domain name or an address literal"
            let lines = ["Invalid `\(Self.printable(decoder.line))' parameter!", "Sorry \(peer.literal), Err: \(text)"]
            tell(Reply(501, EnhancedStatusCode(5, 7, 1), lines), to: &replies)
            return nil
        }
        let hello = Hello(kind: kind, argument: argument)
        // A greeting is also a RSET (RFC 5321 §4.1.4), whatever becomes of it.
        reset()
        state = .askingHello(hello)
        return .ask(.hello(hello))
    }

    mutating func answerHello(_ hello: Hello, _ answer: Answer, into replies: inout [UInt8]) {
        switch answer {
        case .acceptStyle(let style):
            self.style = style
            accept(hello, nil, into: &replies)
        case .accept, .challenge, .authenticated:
            accept(hello, nil, into: &replies)
        case .reply(let reply), .close(let reply):
            if reply.isPositive {
                accept(hello, reply.lines.first, into: &replies)
            } else {
                tell(reply, to: &replies)
                state = self.hello == nil ? .awaitingHello : .idle
            }
        }
    }

    private mutating func accept(_ hello: Hello, _ text: String?, into replies: inout [UInt8]) {
        self.hello = hello
        state = .idle
        let values = configuration.values
        var first = "\(values.hostName) Hello \(hello.argument)"
        if let text {
            first = "\(values.hostName) \(text)"
        } else if values.isSkeptical, let name = peer.name, asciiLowercased(name) != asciiLowercased(hello.argument) {
            first = "\(values.hostName) expected \"\(hello.kind.rawValue) \(name)\""
        }
        // No status here (RFC 2034 §4), and EHLO keeps its lines whatever the configuration.
        let encoder = ReplyEncoder(writesEnhancedStatus: false)
        guard hello.kind != .helo else {
            encoder.line(250, nil, first, isLast: true, into: &replies)
            return
        }
        encoder.line(250, nil, first, isLast: false, into: &replies)
        encoder.line(250, nil, "SIZE \(maximumMessageSize)", isLast: false, into: &replies)
        configuration.appendEHLOKeywords(
            isSecure: surroundings.isSecure, isAuthenticated: authenticatedUser != nil,
            mayChangeClient: surroundings.mayChangeClient, holdsAsOf: offersHold ? surroundings.unixTime : nil,
            to: &replies)
    }
}
