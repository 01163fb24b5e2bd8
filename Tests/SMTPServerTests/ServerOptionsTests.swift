import ProgramKit
import SMTPProtocol
import Testing

@testable import SMTPServer

@Suite(.serialized) struct ServerOptionsTests {
    func parse(_ arguments: String...) throws(UsageError) -> ServerOptions {
        try ServerOptions.parse(["smtpserver"] + arguments)
    }

    @Test("ZMailer's letters are read as getopt does")
    func letters() throws {
        let options = try parse(
            "-4ghi", "-v", "-p2525", "-M", "1000", "-s", "veR", "-P", "/po", "-C", "cfg", "-Z", "zenv", "-I", "pid",
            "-d", "1", "-l", "SYSLOG", "-l", "file", "-L", "0")
        #expect(options.family == .ipv4)
        #expect(options.isGullible && options.checksHelloSyntax && options.isInteractive && options.echoesCommands)
        #expect(options.port == 2525)
        #expect(options.maximumMessageSize == 1000)
        #expect(options.style == [.verifies, .expands, .requiresDomain])
        #expect(options.postoffice == "/po")
        #expect(options.configurationFile == "cfg")
        #expect(options.environmentFile == "zenv")
        #expect(options.pidFile == "pid")
        #expect(options.debugLevel == 1)
        #expect(options.logsToSyslog && options.logFile == "file")
        #expect(options.maximumLoad == 10, "below 1 means 10")
    }

    @Test(
        "what is wrong or does nothing yet is said, never passed over",
        arguments: [
            (["-R", "x"], "-R x: an absolute path is needed"),
            (
                ["-R", "/bin/sh"],
                "-R /bin/sh: no socket; needed is the .policy of the POSTOFFICE of a router that runs"
            ),
            (
                ["-R", "/" + String(repeating: "x", count: 107)],
                "-R /\(String(repeating: "x", count: 107)): longer than 107 octets, as long as a socket's path can be"
            ),
            (["-S", "local"], "-S needs -l with a file"),
            (["-l", "f", "-S", "mx"], "-S mx: valid are local and remote"),
            (["-t"], "-t is for -n only; listeners have BindSmtpS"),
            (["-n", "-i"], "-n and -i exclude each other"),
            (["-T", "[1.2.3.4]"], "-T is for -i sessions only"),
            (
                ["-i", "-T", "1.2.3.4"],
                "-T 1.2.3.4: no address literal; valid are [192.0.2.1] and [IPv6:2001:db8::1]; the brackets belong to it: "
                    + "[1.2.3.4]"
            ),
            (
                ["-i", "-T", "[1.2.3.400]"],
                "-T [1.2.3.400]: no address literal; valid are [192.0.2.1] and [IPv6:2001:db8::1]"
            ),
            (["-X"], "-X (character-set translation) is not available in this version"),
            (["-8"], "-8 (character-set translation) is not available in this version"),
            (["-p", "0"], "-p 0: valid is 1 to 65535"),
            (["-p", "smtp"], "-p smtp: a number is needed"),
            (["-p"], "option '-p' needs a value"),
            (["-q"], "unknown option '-q'"),
            (["-s", "x"], "-s x: 'x' is no style; valid are letters of ftveRSh, or strict, sloppy, -"),
            (["-4", "-6"], "-4 and -6 exclude each other"),
            (["-v"], "-v is for -i sessions only"),
            (["-I", "sub-router"], "-I sub-router: there are no sub-daemons to start by hand"),
            (["extra"], "'extra' is not expected; all arguments are options"),
        ])
    func refused(arguments: [String], expected: String) {
        do throws(UsageError) {
            _ = try ServerOptions.parse(["smtpserver"] + arguments)
            Issue.record("accepted")
        } catch {
            #expect(error.description == expected)
        }
    }

    @Test(
        "-T takes an address literal as ZMailer and RFC 5321 write it",
        arguments: [
            ("[1.2.3.4]", "1.2.3.4"), ("[IPv6:2001:db8::1]", "2001:db8::1"), ("[ipv6.2001:db8::1]", "2001:db8::1"),
            ("[ipv6.0:0:0:0:0:ffff:1.2.3.4]", "1.2.3.4"),
        ])
    func testClient(literal: String, expected: String) throws {
        #expect(try parse("-i", "-d", "1", "-T", literal).testClient.map { "\($0)" } == expected)
    }

    @Test("--help tells of every letter of the man page")
    func usage() {
        for letter in "46aBhigntVvwplsILMPRCZTd" {
            #expect(ServerOptions.usage.contains("\n  -\(letter)"), "-\(letter)")
        }
    }
}
