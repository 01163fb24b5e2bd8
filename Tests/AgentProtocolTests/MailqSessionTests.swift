import AgentProtocol
import SpoolFormat
import Testing

/// A digest for tests: what is digested can be seen in it.
private let mirror: @Sendable ([UInt8]) -> [UInt8]? = { $0 }

@Suite("mailq, version 2")
struct MailqSessionTests {
    private func actions(
        _ text: String, rights: MailqRights = .all, step: Int = .max
    ) -> [MailqServerSession.Action] {
        var session = MailqServerSession(nonce: "1.2.3")
        _ = session.authenticated(rights: rights)
        return Self.actions(of: &session, text, step)
    }

    private static func actions(
        of session: inout MailqServerSession, _ text: String, _ step: Int
    ) -> [MailqServerSession.Action] {
        var actions: [MailqServerSession.Action] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            session.append(rest.prefix(step))
            rest = rest.dropFirst(step)
            while let action = session.next() { actions.append(action) }
        }
        return actions
    }

    @Test("the greeting is ZMailer's, and its second line with the password is what is digested")
    func greeting() {
        let session = MailqServerSession(nonce: "1.2.3")
        #expect(session.greeting == "version zmailer 2.0\n220 MAILQ-V2-CHALLENGE: 1.2.3\n")
        #expect(session.material(password: [65]) == Array("220 MAILQ-V2-CHALLENGE: 1.2.3A".utf8))
    }

    @Test("commands and refusals, however the octets arrive", arguments: [1, 3, 1000])
    func commands(step: Int) {
        let found = actions(
            """
            SHOW SNMP
            SHOW QUEUE SHORT\r
            SHOW QUEUE THREADS
            SHOW QUEUE THREADS2
            SHOW THREAD smtp a.example
            SHOW COUNTERS
            ETRN a.example 192.0.2.1@mx.test
            ETRN @b.example
            ETRN
            ETRN a@b
            show snmp
            AUTH u 00
            BOGUS x \u{1b}[2J
            KILL MSG 17
            quit
            SHOW SNMP

            """, step: step)
        #expect(
            found == [
                .list(.snmp), .list(.queue), .list(.threads), .list(.threadFields),
                .list(.thread(channel: "smtp", host: "a.example")), .list(.counters),
                .etrn(.host("a.example"), remark: "192.0.2.1@mx.test"), .etrn(.domain("b.example"), remark: ""),
                .send("-BAD; ETRN needs a host, @domain or #channel\n"),
                .send("-BAD; ETRN needs a host, @domain or #channel\n"),
                .send(Self.refusal("show", "snmp")), .send(Self.refusal("AUTH", "u 00")),
                .send(Self.refusal("BOGUS", "x  [2J")), .act(.kill, .message(SpoolID(rawValue: 17))),
                .close("+Bye bye\n"),
            ])
    }

    private static func refusal(_ verb: String, _ rest: String) -> String {
        "-MAILQ2 Unknown command, or refused by access control; VERB='\(verb)' REST='\(rest)'\n"
    }

    @Test(
        "an account gets what its rights say",
        arguments: [
            (MailqRights.snmp, "SHOW QUEUE SHORT"), (.queue, "SHOW SNMP"), (.queue, "SHOW QUEUE THREADS"),
            (.etrn, "SHOW THREAD a b"), ([.snmp, .queue, .threads], "ETRN a"), (.etrn, "KILL MSG 1"),
        ] as [(MailqRights, String)])
    func rights(rights: MailqRights, command: String) {
        guard case .send(let text)? = actions(command + "\n", rights: rights).first else {
            Issue.record("\(command) was taken")
            return
        }
        #expect(text.hasPrefix("-"))
    }

    @Test("nothing is answered before the login, and the third wrong one is the last")
    func login() {
        var session = MailqServerSession(nonce: "n")
        let found = Self.actions(of: &session, "SHOW SNMP\nAUTH u\nAUTH u ab\n", 1000)
        #expect(
            found == [
                .send("-BAD; USER MUST AUTHENTICATE\n"), .send("-BAD; USER MUST AUTHENTICATE\n"),
                .authenticate(user: [117], response: [97, 98]),
            ])
        let refusal = "-BAD USER OR AUTHENTICATOR OR CONTACT ADDRESS\n"
        #expect(session.refused() == .send(refusal))
        #expect(session.refused() == .send(refusal))
        #expect(session.refused() == .close(refusal))
        #expect(Self.actions(of: &session, "QUIT\n", 1000).isEmpty)
    }

    @Test("a line without end is not collected", arguments: [7, 5000])
    func longLine(step: Int) {
        let line = String(repeating: "x", count: MailqServerSession.maximumLine + 1)
        #expect(actions(line, step: step) == [.close("-BAD; LINE TOO LONG\n")])
        #expect(actions(line + "\nQUIT\n", step: step) == [.close("-BAD; LINE TOO LONG\n")])
    }

    @Test("lines that begin with a dot get another one")
    func stuffing() {
        #expect(MailqServerSession.stuffed(".\na.b\n..\n") == "..\na.b\n...\n")
    }

    @Test(
        "KILL and REROUTE need the right, and say what is valid",
        arguments: [
            ("KILL MSG 1234", .act(.kill, .message(SpoolID(rawValue: 1234)))),
            ("KILL THREAD smtp a.example", .act(.kill, .thread(channel: "smtp", host: "a.example"))),
            ("REROUTE MSG 1234", .act(.reroute, .message(SpoolID(rawValue: 1234)))),
            ("KILL", .send("-BAD; KILL needs MSG spoolid or THREAD channel host\n")),
            ("KILL MSG ../etc/passwd", .send("-BAD; KILL needs MSG spoolid or THREAD channel host\n")),
            ("REROUTE THREAD smtp", .send("-BAD; REROUTE needs MSG spoolid or THREAD channel host\n")),
        ] as [(String, MailqServerSession.Action)])
    func kill(line: String, expected: MailqServerSession.Action) {
        func answer(_ rights: MailqRights) -> MailqServerSession.Action? {
            var session = MailqServerSession(nonce: "1")
            _ = session.authenticated(rights: rights)
            session.append("\(line)\n".utf8)
            return session.next()
        }
        #expect(answer(.kill) == expected)
        let verb = line.split(separator: " ")[0]
        #expect(answer([.queue, .threads, .etrn]) == .send("-No \(verb) allowed for you.\n"))
    }

    @Test("a spool id of ZMailer's form names the message, too")
    func spoolID() {
        let id = SpoolID(rawValue: UInt64(1_800_000_000_000) << 22 | 5)
        var session = MailqServerSession(nonce: "1")
        _ = session.authenticated(rights: .all)
        session.append("KILL MSG \(id.zmailerName)\n".utf8)
        #expect(session.next() == .act(.kill, .message(id)))
        #expect(MailqServerSession.answer(.kill, .done) == "+OK; KILLed something.\n")
        #expect(MailqServerSession.answer(.reroute, .nothing) == "+OK; didn't REROUTE anything.\n")
        #expect(MailqServerSession.answer(.kill, .problem("no\nroom")) == "-KILL: no room\n")
    }

    // MARK: The asking side

    @Test("a list comes line by line, without its dots and control characters", arguments: [1, 1000])
    func list(step: Int) {
        var session = MailqClientSession(user: "u", password: "secret", show: "QUEUE SHORT", digest: mirror)
        let input = Array("version zmailer 2.0\nC\n+OK\n+OK until LF.LF\na b\n..c\n\u{1b}[2J\n.\nmore".utf8)
        var found: [MailqClientSession.Action] = []
        var rest = input[...]
        while !rest.isEmpty {
            found += session.received(rest.prefix(step))
            rest = rest.dropFirst(step)
        }
        #expect(
            found.dropFirst() == [
                .send(Array("SHOW QUEUE SHORT\n".utf8)), .line("a b"), .line(".c"), .line(" [2J"),
                .send(Array("QUIT\n".utf8)), .finished(.success(.init(text: "", didStart: false))),
            ])
        var refused = MailqClientSession(user: "u", password: "secret", show: "SNMP", digest: mirror)
        let actions = refused.received(Array("version zmailer 2.0\nC\n+OK\n-MAILQ2 Unknown\n".utf8))
        #expect(actions.last == .finished(.failure(.notShown("-MAILQ2 Unknown"))))
        var long = MailqClientSession(user: "u", password: "secret", show: "SNMP", digest: mirror)
        _ = long.received(Array("version zmailer 2.0\nC\n+OK\n+OK\n".utf8))
        let end = long.received([UInt8](repeating: 0x61, count: MailqClientSession.maximumListLine + 1))
        #expect(end == [.finished(.failure(.lineTooLong(.list)))])
    }

    private func client(_ target: String = "a.example") -> MailqClientSession {
        MailqClientSession(
            user: "node", password: "secret", target: ETRNTarget(target) ?? .host("-"), remark: "192.0.2.1@mx test",
            digest: mirror)
    }

    @Test("login, ETRN, leave; the challenge is digested as it came", arguments: [1, 1000])
    func asks(step: Int) {
        var session = client()
        let input = Array("version zmailer 2.0\r\n220 C: 1.2\n+OK\n+OK; an ETRN started something.\nrest".utf8)
        var found: [MailqClientSession.Action] = []
        var rest = input[...]
        while !rest.isEmpty {
            found += session.received(rest.prefix(step))
            rest = rest.dropFirst(step)
        }
        let answer = MailqDigest.text(Array("220 C: 1.2secret".utf8))
        #expect(
            found == [
                .send(Array("AUTH node \(answer)\n".utf8)), .send(Array("ETRN a.example 192.0.2.1@mxtest\n".utf8)),
                .send(Array("QUIT\n".utf8)),
                .finished(.success(.init(text: "+OK; an ETRN started something.", didStart: true))),
            ])
        #expect(session.step == nil)
        #expect(session.ended() == nil)
    }

    @Test(
        "what goes wrong has a name",
        arguments: [
            ("220 mx ESMTP\n", .notMailq("220 mx ESMTP")),
            ("version zmailer 1.0\n", .oldVersion("version zmailer 1.0")),
            ("version zmailer 2.0\n550 NO ACCESS FOR YOU\n", .noAccess("550 NO ACCESS FOR YOU")),
            ("version zmailer 2.0\nC\n-BAD USER\n", .notAuthenticated("-BAD USER")),
            ("version zmailer 2.0\nC\n+OK\n-No ETRN allowed for you.\n", .refused("-No ETRN allowed for you.")),
            ("", .closed(.banner)), ("version zmailer 2.0\n", .closed(.challenge)),
            ("version zmailer 2.0\nC\n", .closed(.authentication)), ("version zmailer 2.0\nC\n+\n+OK", .closed(.etrn)),
            (String(repeating: "v", count: 1025), .lineTooLong(.banner)),
        ] as [(String, MailqClientSession.Failure)])
    func failures(input: String, failure: MailqClientSession.Failure) {
        var session = client()
        var actions = session.received(Array(input.utf8))
        if let last = session.ended() { actions.append(last) }
        #expect(actions.last == .finished(.failure(failure)))
        #expect(actions.count { if case .finished = $0 { true } else { false } } == 1)
        #expect(!failure.description.contains("secret"))
    }

    @Test("an ETRN that started nothing is an answer; without MD5 there is none; no description holds the password")
    func answers() {
        var session = client()
        let actions = session.received(Array("version zmailer 2.0\nC\n+OK\n+OK; an ETRN didn't start anything.\n".utf8))
        let text = "+OK; an ETRN didn't start anything."
        #expect(actions.last == .finished(.success(.init(text: text, didStart: false))))
        var without = MailqClientSession(
            user: "u", password: "secret", target: .host("a"), remark: "", digest: { _ in nil })
        #expect(without.received(Array("version zmailer 2.0\nC\n".utf8)) == [.finished(.failure(.noDigest))])
        #expect("\(client())" == "mailq as node: ETRN a.example 192.0.2.1@mxtest")
        var late = client()
        #expect(late.gaveUp() == .finished(.failure(.timedOut(.banner))))
    }
}
