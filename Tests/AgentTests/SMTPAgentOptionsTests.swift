import MailModel
import ProgramKit
import Testing

@testable import SMTPAgent

@Suite("Command line and next hops of the SMTP agent", .serialized)
struct SMTPAgentOptionsTests {
    private func options(_ arguments: String...) throws(UsageError) -> SMTPAgentOptions {
        try SMTPAgentOptions(try CommandLineOptions.parse(["smtp"] + arguments, SMTPAgentOptions.specs))
    }

    @Test("the letters mean what ZMailer's manual says")
    func letters() throws {
        let all = try options(
            "-16EMPrsvxX", "-c", "lmtp", "-F", "[192.0.2.1]:24", "-h", "mail.test", "-H", "-j", "7", "-l", "/log", "-L",
            "[192.0.2.9]", "-p", "2525", "-T", "conn=10s,tcpw=2m,data=3s,dot=1h,9", "-w", "65536", "-Z", "/z",
            "-S", "/t", "--check")
        #expect(all.channel == "lmtp")
        #expect(all.maximumJobs == 7)
        #expect(all.sendsOneMessagePerConnection && all.prefersIPv6 && all.needsESMTPBanner && all.isLMTP)
        #expect(!all.usesPipelining && all.usesPrivilegedPort && all.showsProgress && all.isVerbose)
        #expect(!all.usesMX && all.mayConnectToSelf)
        #expect(all.punt == NextHop("[192.0.2.1]:24"))
        #expect(all.heloName == "mail.test")
        #expect(all.localIdentity == .address(try #require(IPAddress("192.0.2.9"))))
        #expect(all.port == 2525)
        #expect(all.timeouts.connect == .seconds(10))
        #expect(all.timeouts.write == .seconds(120))
        #expect(all.timeouts.command == .seconds(9))
        #expect(all.timeouts.data == .seconds(3))
        #expect(all.timeouts.dot == .seconds(3600))
        #expect(all.sendBufferSize == 65536)
        #expect(all.logFile == "/log")
        #expect(all.environmentFile == "/z")
        #expect(all.tlsConfigurationFile == "/t")
        #expect(all.onlyChecks)
    }

    @Test("without options: channel smtp, port 25, twenty jobs, MX records")
    func defaults() throws {
        let none = try options()
        #expect(none.channel == "smtp" && none.port == 25 && none.maximumJobs == 20)
        #expect(none.usesMX && none.usesPipelining && !none.isLMTP && !none.prefersIPv6)
    }

    @Test("every letter of ZMailer's manual is accepted and does something, or says in the manual why not")
    func everyLetter() throws {
        let all = try options(
            "-1", "-6", "-7", "-8", "-A", "/a", "-c", "x", "-d", "-D", "-e", "-E", "-F", "[192.0.2.1]", "-h", "h.test",
            "-H",
            "-l", "/l", "-L", "mail.test", "-M", "-O", "ignore-ezmlm", "-p", "24", "-P", "-r", "-s", "-S", "/s", "-T",
            "9",
            "-v", "-w", "4096", "-W", "-x", "-X", "-Z", "/z")
        #expect(all.secretsFile == "/a" && all.onlyConnects && all.checksExchangers)
        #expect(all.conversion.forcesSevenBit && all.conversion.isEightBitClean && all.conversion.keepsHeaders)
        #expect(!all.usesHelloOnly)
        #expect(all.localIdentity == .host("mail.test", addresses: []))
        #expect(try options("-77").usesHelloOnly)
        #expect(try options("-778").conversion.isEightBitClean)
        #expect(try options("--eight-bit", "return").conversion.eightBit == .return)
        #expect(try options().conversion.eightBit == .convert)
    }

    @Test("a local host name stands for its address of the remote end's family")
    func localHost() throws {
        var names = SMTPAgentNames()
        names.addresses = ["mail.test": "192.0.2.7"]
        let local = try #require(LocalIdentity("mail.test")?.resolved(by: names))
        #expect(try local.address(for: try #require(IPAddress("198.51.100.1"))) == IPAddress("192.0.2.7"))
        #expect(try local.address(for: try #require(IPAddress("2001:db8::1"))) == nil)
        #expect(LocalIdentity("none.test")?.resolved(by: names) == nil)
        #expect(
            try LocalIdentity("iface:lo")?.address(for: try #require(IPAddress("127.0.0.2"))) == IPAddress("127.0.0.1"))
    }

    @Test(
        "values that cannot be are told with what would be valid",
        arguments: [
            ["-p", "0"], ["-p", "65536"], ["-p", "smtp"], ["-j", "0"], ["-T", "conn=x"], ["-T", "foo=1"], ["-T", "0"],
            ["-F", "[1.2.3]"], ["-L", "a b"], ["--eight-bit", "x"], ["-h", "a b"], ["-w", "1"], ["-X"], ["-c", "a b"],
            ["-O", "x"],
        ])
    func invalid(arguments: [String]) {
        #expect(throws: UsageError.self) {
            try SMTPAgentOptions(try CommandLineOptions.parse(["smtp"] + arguments, SMTPAgentOptions.specs))
        }
    }

    @Test(
        "next hops",
        arguments: [
            ("example.com", "example.com"), ("example.com:587", "example.com:587"), ("[192.0.2.1]", "[192.0.2.1]"),
            ("[192.0.2.1]:2525", "[192.0.2.1]:2525"), ("[IPv6:2001:db8::1]:26", "[IPv6:2001:db8::1]:26"),
            ("[ipv6.2001:db8::1]", "[IPv6:2001:db8::1]"), ("[::1]", "[IPv6:::1]"),
            ("[mail.example.com]:24", "[mail.example.com]:24"), ("UNIX:/run/lmtp", "UNIX:/run/lmtp"),
            ("unix:/run/lmtp", "UNIX:/run/lmtp"), ("", nil), ("[", nil), ("[]", nil), ("[10.0.0.300]", nil),
            ("example.com:", nil), ("example.com:0", nil), ("example.com:99999", nil), ("example.com:+1", nil),
            ("a b", nil), ("UNIX:relative", nil), ("[192.0.2.1]x", nil), ("-", nil),
        ] as [(String, String?)])
    func nextHops(text: String, expected: String?) {
        #expect(NextHop(text)?.description == expected)
        if let expected { #expect(NextHop(expected) == NextHop(text)) }
    }

    @Test(
        "times",
        arguments: [
            ("90", 90), ("90s", 90), ("3m", 180), ("1h5m20s", 3920), ("2d", 172_800), ("", nil), ("m", nil),
            ("1x", nil),
            ("1m2", 62), ("999999999", nil),
        ] as [(String, Int?)])
    func times(text: String, expected: Int?) {
        #expect(TimeNotation.duration(text) == expected.map { .seconds($0) })
    }

    @Test("failures are remembered for as long as they took, within bounds")
    func failedPlaces() {
        let quick = FailedPlaces<String>(lifetime: .zero...(.seconds(30)), maximumEntries: 2)
        quick.insert("a", reason: "refused", after: .zero)
        #expect(quick.reason("a") == nil)
        quick.insert("b", reason: "timed out", after: .seconds(180))
        #expect(quick.reason("b") == "timed out")
        for name in ["c", "d", "e"] { quick.insert(name, reason: "x", after: .seconds(1)) }
        #expect(quick.reason("e") == "x")
    }
}
