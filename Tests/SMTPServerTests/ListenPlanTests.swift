import Configuration
import Glibc
import MailModel
import ProgramKit
import Testing

@testable import SMTPServer

@Suite(.serialized) struct ListenPlanTests {
    func plan(_ lines: [String], _ arguments: [String] = []) throws -> [String] {
        let text = (lines.map { "PARAM \($0)" } + ["* ve"]).joined(separator: "\n") + "\n"
        let settings = try Settings.make(
            try ServerOptions.parse(["smtpserver"] + arguments), ZEnvironment(values: ["HOSTNAME": "mx"]), text: text,
            file: "s.conf")
        return try ListenPlan.points(settings).map { "\($0.place)" }
    }

    @Test(
        "addresses and ports come from the configuration, -p is over BindPort, a port of its own over both",
        arguments: [
            ([], ["-4"], ["[0.0.0.0]:25"]),
            (["BindPort 2525"], ["-4"], ["[0.0.0.0]:2525"]),
            (["BindPort 2525"], ["-4", "-p", "26"], ["[0.0.0.0]:26"]),
            (["BindAddress [127.0.0.1]", "BindPort 2525"], [], ["[127.0.0.1]:2525"]),
            (
                ["BindAddress 127.0.0.1", "BindSmtp 127.0.0.1 27", "BindSmtp 127.0.0.1"], ["-p", "26"],
                ["[127.0.0.1]:26", "[127.0.0.1]:27", "[127.0.0.1]:25"]
            ),
            (["BindAddress 127.0.0.1", "BindAddress [127.0.0.1]"], [], ["[127.0.0.1]:25"]),
            (["BindAddress iface:v4:lo"], [], ["[127.0.0.1]:25"]),
            (["BindAddress [IPv6.::1]"], [], ["[IPv6:::1]:25"]),
        ])
    func addresses(lines: [String], arguments: [String], expected: [String]) throws {
        #expect(try plan(lines, arguments) == expected)
    }

    @Test("one socket takes both families where the system has IPv6")
    func dualStack() throws {
        guard access("/proc/net/if_inet6", F_OK) == 0 else { return }
        #expect(try plan([]) == ["[IPv6:::]:25"])
        #expect(try plan([], ["-6"]) == ["[IPv6:::]:25"])
    }

    @Test(
        "what cannot be listened on is told with its line",
        arguments: [
            (["BindAddress iface:nope0"], [], "s.conf:1: interface 'nope0' has no address here"),
            (["BindAddress [IPv6:::1]"], ["-4"], "s.conf:1: [IPv6:::1] is IPv6, but -4 was given"),
            (
                (1...49).map { "BindSmtp any \($0)" }, ["-4"], "49 addresses; at most 48 are possible"
            ),
        ])
    func mistakes(lines: [String], arguments: [String], expected: String) throws {
        do {
            _ = try plan(lines, arguments)
            Issue.record("accepted")
        } catch let error as ListenError {
            #expect(error.description == expected)
            #expect(error.code == .configuration)
        }
    }

    @Test("a port that somebody holds is told with the holder's name")
    func holder() throws {
        let settings = try Settings.make(
            try ServerOptions.parse(["smtpserver"]), ZEnvironment(values: ["HOSTNAME": "mx"]), text: "* ve\n", file: "f"
        )
        let first = try ListeningSocket(
            ListenAddress(address: .v4(0x7f00_0001), port: 0, isDualStack: false), settings.configuration)
        var octets = [UInt8](repeating: 0, count: 28)
        var length = socklen_t(octets.count)
        _ = octets.withUnsafeMutableBytes { raw in
            raw.withMemoryRebound(to: sockaddr.self) { getsockname(first.descriptor, $0.baseAddress, &length) }
        }
        let port = Int(octets[2]) << 8 | Int(octets[3])
        do throws(ListenError) {
            _ = try ListeningSocket(
                ListenAddress(address: .v4(0x7f00_0001), port: port, isDualStack: false), settings.configuration)
            Issue.record("bound twice")
        } catch {
            #expect(error.code == .unavailable)
            #expect(error.description.hasPrefix("cannot listen on [127.0.0.1]:\(port) (held by "))
            #expect(error.description.contains("pid \(getpid())"))
        }
        withExtendedLifetime(first) {}
    }
}
