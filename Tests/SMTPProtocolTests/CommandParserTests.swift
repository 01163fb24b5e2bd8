import MailModel
import Testing

@testable import SMTPProtocol

@Suite("Command parser")
struct CommandParserTests {
    static func mailbox(_ text: String) -> Mailbox { Mailbox(text)! }

    static func mail(_ path: String?, _ change: (inout MailCommand) -> Void = { _ in }) -> Command {
        var command = MailCommand(reversePath: path.map { .mailbox(mailbox($0)) } ?? .null)
        change(&command)
        return .mail(command)
    }

    static func rcpt(_ path: String, _ change: (inout RecipientCommand) -> Void = { _ in }) -> Command {
        var command = RecipientCommand(
            forwardPath: path == "postmaster" ? .postmaster : .mailbox(mailbox(path)))
        change(&command)
        return .rcpt(command)
    }

    static func parse(
        _ line: String, style: Style = .default, isSMTPUTF8: Bool = false, dsn: Bool = true, utf8: Bool = true
    ) -> Result<Command, CommandSyntaxError> {
        var extensions = Extensions.all
        if !dsn { extensions.remove(.dsn) }
        if !utf8 { extensions.remove(.smtputf8) }
        let options = CommandParser.Options(
            style: style, extensions: extensions, isSMTPUTF8: isSMTPUTF8, defaultDomain: "mx.example")
        do {
            return .success(try CommandParser.parse(octets(line), options: options))
        } catch {
            return .failure(error)
        }
    }

    @Test(
        "reads what is well formed",
        arguments: [
            ("EHLO client.example", .ehlo("client.example")),
            ("ehlo  [192.0.2.1] ", .ehlo("[192.0.2.1]")),
            ("HELO", .helo("")),
            ("LHLO x", .lhlo("x")),
            ("helo \u{fc}", .helo("\u{fc}")),
            ("MAIL FROM:<>", mail(nil)),
            ("mail from: <a@b.example> ", mail("a@b.example")),
            ("MAIL FROM:<\"a b\"@b.example>", mail("\"a b\"@b.example")),
            ("MAIL FROM:<a\\ b@b.example>", mail("\"a b\"@b.example")),
            ("MAIL FROM:<a@[IPv6:2001:db8::1]>", mail("a@[IPv6:2001:db8::1]")),
            (
                "MAIL FROM:<@r.example,@s.example:a@b.example>",
                mail("a@b.example") { $0.sourceRoute = "@r.example,@s.example" }
            ),
            ("MAIL FROM:<root>", mail("root@mx.example")),
            ("MAIL FROM:<root> SIZE=12", mail("root@mx.example") { $0.size = 12 }),
            (
                "MAIL FROM:<a@b.example>  SIZE=100  body=8bitmime RET=hdrs ENVID=q+2B1",
                mail("a@b.example") {
                    $0.size = 100
                    $0.body = .eightBitMIME
                    $0.ret = .headers
                    $0.envelopeID = "q+2B1"
                }
            ),
            ("MAIL FROM:<a@b.example> SIZE=99999999999999999999", mail("a@b.example") { $0.size = .max }),
            ("MAIL FROM:<a@b.example> AUTH=<>", mail("a@b.example") { $0.auth = "<>" }),
            ("MAIL FROM:<\u{fc}@b.example> SMTPUTF8", mail("\u{fc}@b.example") { $0.isSMTPUTF8 = true }),
            ("RCPT TO:<Postmaster>", rcpt("postmaster")),
            ("RCPT TO:<a@b.example>", rcpt("a@b.example")),
            ("RCPT TO:<alice>", rcpt("alice@mx.example")),
            (
                "RCPT TO:<a@b.example> NOTIFY=success,FAILURE ORCPT=rfc822;a+2Bb@c",
                rcpt("a@b.example") {
                    $0.notify = [.success, .failure]
                    $0.originalRecipient = "rfc822;a+2Bb@c"
                }
            ),
            ("RCPT TO:<a@b.example> NOTIFY=NEVER", rcpt("a@b.example") { $0.notify = .never }),
            ("DATA", .data), ("DATA junk", .data), ("RSET junk", .rset),
            ("BDAT 0 LAST", .bdat(octets: 0, isLast: true)), ("bdat 12", .bdat(octets: 12, isLast: false)),
            ("NOOP whatever", .noop), ("HELP", .help("")), ("HELP mail", .help("mail")),
            ("VRFY alice", .vrfy("alice")), ("EXPN list ", .expn("list")), ("QUIT ", .quit), ("QUIT now", .quit),
            ("STARTTLS", .starttls), ("AUTH LOGIN", .auth("LOGIN")), ("ETRN a.example", .etrn("a.example")),
            ("TURNME a.example", .etrn("a.example")), ("TURN", .turn), ("VERB", .verb), ("ONEX", .onex),
            ("TICK 1", .tick("1")), ("SOML FROM:<a@b>", .send), (" NOOP", .noop),
        ] as [(String, Command)])
    func accepts(line: String, command: Command) {
        #expect(Self.parse(line) == .success(command))
    }

    @Test(
        "says what is wrong and where",
        arguments: [
            ("", nil, .unknownVerb, 0), ("FOO", nil, .unknownVerb, 0), ("MAILFROM:<a@b>", nil, .unknownVerb, 0),
            ("NOOP \u{0}", .noop, .nulCharacter, 5), ("NOOP \u{fc}", .noop, .eightBitCharacter, 5),
            ("NOOP a\u{7f}", .noop, .controlCharacter, 6), ("NOOP a\rb", .noop, .controlCharacter, 6),
            ("MAIL", .mail, .missingKeyword, 4), ("MAIL TO:<a@b>", .mail, .missingKeyword, 5),
            ("RCPT FROM:<a@b>", .rcpt, .missingKeyword, 5),
            ("MAIL FROM:a@b.example", .mail, .address(.missingOpeningBracket), 10),
            ("MAIL FROM:<a@b.example", .mail, .address(.missingClosingBracket), 22),
            ("MAIL FROM:<a b@c.example>", .mail, .address(.invalidLocalPart), 12),
            ("MAIL FROM:<a@b.example>junk", .mail, .address(.missingClosingBracket), 23),
            ("MAIL FROM:<a@-b.example>", .mail, .address(.invalidDomain), 13),
            ("MAIL FROM:<\u{fc}@b.example>", .mail, .address(.internationalizedNotAllowed), 10),
            ("RCPT TO:<\u{fc}@b.example>", .rcpt, .address(.internationalizedNotAllowed), 9),
            ("RCPT TO:<>", .rcpt, .address(.nullPathNotAllowed), 9),
            ("MAIL FROM:<> SIZE", .mail, .parameterValue("SIZE"), 13),
            ("MAIL FROM:<> SIZE=x", .mail, .parameterValue("SIZE"), 13),
            ("MAIL FROM:<> SIZE=-1", .mail, .parameterValue("SIZE"), 13),
            ("MAIL FROM:<> SIZE=1 size=2", .mail, .duplicateParameter("SIZE"), 20),
            ("MAIL FROM:<> BODY=BINARYMIME", .mail, .parameterValue("BODY"), 13),
            ("MAIL FROM:<> RET=ALL", .mail, .parameterValue("RET"), 13),
            ("MAIL FROM:<> ENVID=a=b", .mail, .parameterValue("ENVID"), 13),
            ("MAIL FROM:<> SMTPUTF8=1", .mail, .parameterValue("SMTPUTF8"), 13),
            ("MAIL FROM:<> SMTPUTF8 SMTPUTF8", .mail, .duplicateParameter("SMTPUTF8"), 22),
            ("MAIL FROM:<> FOO=1", .mail, .unknownParameter("FOO=1"), 13),
            ("MAIL FROM:<> NOTIFY=NEVER", .mail, .unknownParameter("NOTIFY=NEVER"), 13),
            ("RCPT TO:<a@b> SIZE=1", .rcpt, .unknownParameter("SIZE=1"), 14),
            ("RCPT TO:<a@b> NOTIFY=NEVER,DELAY", .rcpt, .parameterValue("NOTIFY"), 14),
            ("RCPT TO:<a@b> NOTIFY=DELAY,DELAY", .rcpt, .parameterValue("NOTIFY"), 14),
            ("RCPT TO:<a@b> NOTIFY=", .rcpt, .parameterValue("NOTIFY"), 14),
            ("RCPT TO:<a@b> ORCPT=rfc822", .rcpt, .parameterValue("ORCPT"), 14),
            ("RCPT TO:<a@b> ORCPT=rfc822;a+b", .rcpt, .parameterValue("ORCPT"), 14),
            ("RCPT TO:<a@b> ORCPT=rfc822;a ORCPT=rfc822;b", .rcpt, .duplicateParameter("ORCPT"), 29),
            ("BDAT", .bdat, .chunkSize(discard: 0), 4), ("BDAT x", .bdat, .chunkSize(discard: nil), 5),
            ("BDAT -1", .bdat, .chunkSize(discard: nil), 5),
            ("BDAT 99999999999999999999 LAST", .bdat, .chunkSize(discard: nil), 5),
            ("BDAT 10 FIRST", .bdat, .chunkSize(discard: 10), 8),
            ("BDAT 10 LAST x", .bdat, .chunkSize(discard: 10), 8),
            ("VRFY", .vrfy, .missingArgument, 4), ("EXPN ", .expn, .missingArgument, 4),
            ("STARTTLS x", .starttls, .unexpectedArgument, 8),
        ] as [(String, Verb?, CommandSyntaxError.Kind, Int)])
    func refuses(line: String, verb: Verb?, kind: CommandSyntaxError.Kind, offset: Int) {
        #expect(Self.parse(line) == .failure(CommandSyntaxError(kind, verb: verb, at: offset)))
    }

    @Test(
        "strict mode insists on spacing and on nothing behind a command",
        arguments: [
            ("MAIL FROM: <a@b.example>", .spacing), ("MAIL  FROM:<a@b.example>", .spacing),
            ("MAIL FROM:<a@b.example>  SIZE=1", .spacing), ("MAIL\tFROM:<a@b.example>", .spacing),
            ("MAIL FROM:<a@b.example> ", .spacing), ("MAIL FROM:<a>", .address(.missingDomain)),
            ("DATA ", .unexpectedArgument), ("QUIT ", .unexpectedArgument), ("HELO \u{fc}", .eightBitCharacter),
        ] as [(String, CommandSyntaxError.Kind)])
    func strict(line: String, kind: CommandSyntaxError.Kind) {
        guard case .failure(let error) = Self.parse(line, style: [.strict]) else {
            Issue.record("\(line) was accepted")
            return
        }
        // A trailing blank is an empty parameter.
        #expect(error.kind == kind || error.kind == .unknownParameter(""))
        if case .failure(let error) = Self.parse(line) { Issue.record("\(line) must pass by default: \(error)") }
    }

    @Test("R refuses an address without a domain, except postmaster as recipient")
    func requiresDomain() {
        #expect(
            Self.parse("RCPT TO:<a>", style: [.requiresDomain])
                == .failure(CommandSyntaxError(.address(.missingDomain), verb: .rcpt, at: 10)))
        #expect(Self.parse("RCPT TO:<POSTMASTER>", style: [.requiresDomain]) == .success(Self.rcpt("postmaster")))
        #expect(Self.parse("MAIL FROM:<>", style: [.requiresDomain]) == .success(Self.mail(nil)))
    }

    @Test(
        "S takes what broken clients send",
        arguments: [
            "MAIL FROM:a@b.example", "MAIL FROM: <a@b.example>", "MAIL FROM:< a@b.example >",
            "MAIL FROM:<<a@b.example>>",
        ])
    func sloppy(line: String) {
        #expect(Self.parse(line, style: [.sloppyAddresses]) == .success(Self.mail("a@b.example")))
    }

    @Test("parameters of extensions that are off are unknown")
    func extensionsOff() {
        for line in ["MAIL FROM:<> RET=FULL", "MAIL FROM:<> ENVID=a", "RCPT TO:<a@b> NOTIFY=NEVER"] {
            guard case .failure(let error) = Self.parse(line, dsn: false), case .unknownParameter = error.kind else {
                Issue.record("\(line) was accepted")
                continue
            }
        }
        #expect(
            Self.parse("MAIL FROM:<> SMTPUTF8", utf8: false)
                == .failure(CommandSyntaxError(.unknownParameter("SMTPUTF8"), verb: .mail, at: 13)))
        #expect(
            Self.parse("RCPT TO:<\u{fc}@b>", utf8: false)
                == .failure(CommandSyntaxError(.eightBitCharacter, verb: .rcpt, at: 9)))
        #expect(Self.parse("RCPT TO:<\u{fc}@b>", isSMTPUTF8: true) == .success(Self.rcpt("\u{fc}@b")))
        #expect(
            Self.parse("RCPT TO:<a@b> ORCPT=utf-8;\u{fc}@c", isSMTPUTF8: true)
                == .success(Self.rcpt("a@b") { $0.originalRecipient = "utf-8;\u{fc}@c" }))
    }

    @Test("style letters")
    func styleLetters() {
        #expect(Style("veR") == [.verifies, .expands, .requiresDomain])
        #expect(Style("ftve") == [.checksSender, .checksRecipient, .verifies, .expands])
        #expect(Style("-") == [])
        #expect(Style("x") == nil)
        #expect(Style("strict")?.contains(.strict) == true)
    }
}
