import ArgumentParser
import MailModel
import Supervisor

struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Says what the policy makes of a mail, and why: every record, DNS answer and counter that was looked at.",
        discussion: """
            Asks the running policy service; without one, or with --offline, it is evaluated here. Nothing is counted or stored.
            Exit code 0: accepted, 1: refused for good, 75: refused for now.
            """)

    @OptionGroup var instance: Instance
    @Option(
        help: ArgumentHelp(
            "The client's address: 192.0.2.1, 2001:db8::1, or a literal in brackets.", valueName: "address"))
    var fromIP: String
    @Option(help: ArgumentHelp("The argument of EHLO (default: the client's address literal).", valueName: "name"))
    var helo: String?
    @Option(help: ArgumentHelp("The sender; '' or '<>': the null sender.", valueName: "address")) var mailFrom: String
    @Option(help: ArgumentHelp("A recipient; repeatable.", valueName: "address")) var rcpt: [String]
    @Option(help: ArgumentHelp("As if this user had authenticated.", valueName: "user")) var auth = ""
    @Option(
        name: .customShort("C"),
        help: ArgumentHelp("smtpserver.conf of the server that is asked about.", valueName: "file"))
    var serverConfiguration: String?
    @Flag(help: "One JSON object; zmailer(8) has its keys.") var json = false
    @Flag(help: "Evaluate here, whether or not a service runs.") var offline = false

    func validate() throws {
        guard client != nil else {
            throw ValidationError(
                "--from-ip \(fromIP): no address; valid are 192.0.2.1, 2001:db8::1, [IPv6:2001:db8::1]")
        }
        guard !rcpt.isEmpty else { throw ValidationError("--rcpt is needed") }
        // They become lines of SMTP, and fields of lines.
        for text in [helo ?? "", mailFrom, auth] + rcpt where text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) {
            throw ValidationError("control characters cannot stand in a command")
        }
    }

    private var client: IPAddress? { AddressLiteral.address(in: fromIP) ?? IPAddress(fromIP) }

    func run() throws {
        guard let client else { return }
        let request = Explanation.Request(
            client: client.unmapped, helo: helo, sender: Self.bare(mailFrom), recipients: rcpt.map(Self.bare),
            authenticatedUser: auth)
        let options = ExplainCommand.Options(
            configurationFile: serverConfiguration, json: json, isOffline: offline)
        let code = ExplainCommand.run(instance.environment, request, options)
        if code != 0 { throw ArgumentParser.ExitCode(code) }
    }

    private static func bare(_ address: String) -> String {
        address.hasPrefix("<") && address.hasSuffix(">") ? String(address.dropFirst().dropLast()) : address
    }
}
