import Foundation
import Glibc
import Testing

/// The real scanners and milters in the way of mail by SMTP: each behind a listener of its own.
@Suite(
    "Content filters with real scanners, by SMTP", .serialized, .timeLimit(.minutes(5)),
    .enabled(if: RspamdPeer.isAvailable, RspamdPeer.requirement),
    .enabled(if: SpamdPeer.isAvailable, SpamdPeer.requirement),
    .enabled(if: ClamdPeer.isAvailable, ClamdPeer.requirement),
    .enabled(if: MilterPrograms.isAvailable, MilterPrograms.requirement))
struct ContentFilterPeerTests {
    private static let gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

    private static func send(_ port: UInt16, _ body: String, fields: [String] = []) throws -> Connection.Reply {
        let client = try Connection.greeted(port: port)
        let text = String(decoding: FilterScript.content(body, fields: fields), as: UTF8.self)
        return try client.transact(
            from: "alice@example.test", to: ["bob@example.test"],
            message: text.replacingOccurrences(
                of: "From: Sender <sender@client.test>", with: "From: <alice@example.test>"))
    }

    private static func newest(_ instance: Instance, count: Int) async throws -> String {
        try await instance.waitForMail(of: "bob", count: count)
        return try #require(instance.maildir("bob").texts.max { $0.count < $1.count })
    }

    @Test("rspamd, SpamAssassin and ClamAV refuse what they must, and say so in the header of the rest; OpenDKIM signs")
    func all() async throws {
        let (rspamd, spamd, clamd) = (try RspamdPeer(), try SpamdPeer(), try ClamdPeer())
        async let first: Void = rspamd.start()
        async let second: Void = spamd.start()
        async let third: Void = clamd.start()
        _ = try await (first, second, third)
        let folder = try FilterDaemon.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let key = try await DKIMKey(in: folder)
        let opendkim = try await OpenDKIMPeer(in: folder, key: key)
        let ports = try (0..<5).map { _ in try FreePorts.take() }
        do {
            try await Instance.run { settings in
                settings.prepareAlso { instance in
                    let filters = "\(Programs.libexec)/contentfilters"
                    let milter = "\(instance.directory)/var/filter-milter.opendkim"
                    try FileManager.default.createSymbolicLink(
                        atPath: milter, withDestinationPath: "\(Programs.libexec)/filter-milter")
                    try instance.write("milter \(opendkim.endpoint)\n", to: "share/filter-milter.opendkim.conf")
                    try instance.write("server = \(rspamd.endpoint)\n", to: "share/rspamd.conf")
                    try instance.write("server = \(spamd.endpoint)\n", to: "share/spamassassin.conf")
                    try instance.write("server = \(clamd.endpoint)\nretry = 1\n", to: "share/clamav.conf")
                    let lists = [
                        ["\(filters)/rspamd"], ["\(filters)/spamassassin"], ["\(filters)/clamav"], [milter],
                        ["\(filters)/rspamd", "\(filters)/spamassassin", "\(filters)/clamav", milter],
                    ]
                    var lines = ["PARAM contentfilter-failure defer", "PARAM contentfilter-maxpar 1"]
                    for (port, list) in zip(ports, lists) {
                        lines += ["PARAM newgroup", "PARAM BindSmtp [127.0.0.1] \(port)"]
                        lines += list.map { "PARAM contentfilter \($0)" }
                    }
                    try instance.append(lines, to: "share/smtpserver.conf")
                }
            } _: { instance in
                // A scanner refuses its test message, and nothing of it is kept.
                for (port, body) in [(ports[0], Self.gtube), (ports[1], Self.gtube), (ports[2], ClamdPeer.eicar)] {
                    let reply = try Self.send(port, body)
                    #expect(
                        reply.code == 550 && reply.texts[0].hasPrefix("5.7.1 Content-Policy reject msg: "), "\(reply)")
                    let last = try Self.send(ports[4], body)
                    #expect(last.code == 550, "\(last)")
                }
                let frozen = try Self.send(ports[0], "hello", fields: ["X-Test-Action: quarantine"])
                #expect(frozen.code == 250 && frozen.texts[0].contains("into-freezer-1"), "\(frozen)")
                let deferred = try Self.send(ports[0], "hello", fields: ["X-Test-Action: soft reject"])
                #expect(deferred.code == 451, "\(deferred)")

                // What passes all of them has what they say in its header, and a signature that another program finds right.
                let reply = try Self.send(ports[4], "See you on Thursday.")
                #expect(reply.code == 250, "\(reply)\n\(instance.report)")
                let text = try await Self.newest(instance, count: 1)
                #expect(text.contains("X-Spam-Status: No, score="), "\(text)")
                #expect(text.contains("DKIM-Signature: "), "\(text)")
                let octets = Array(
                    text.replacingOccurrences(of: "\r\n", with: "\n").replacingOccurrences(of: "\n", with: "\r\n").utf8)
                #expect(try await key.verifies(octets, in: folder), "\(text)")
                let log = try await instance.waitForEvent("filtered", "clamav=clean")
                #expect(log.contains("filter=\(Programs.libexec)/contentfilters/clamav"), "\(log)")

                // Without its daemon a filter has no result, and the message is its sender's still.
                try await clamd.kill()
                let away = try Self.send(ports[2], "hello")
                #expect(away.code == 451, "\(away)")
                try await instance.waitForEvent("filtered", "none: ", clamd.endpoint)
                try await clamd.start()
                #expect(try Self.send(ports[2], "hello").code == 250)
            }
        } catch {
            try await opendkim.stop()
            try await rspamd.stop()
            try await spamd.stop()
            try await clamd.stop()
            throw error
        }
        try await opendkim.stop()
        try await rspamd.stop()
        try await spamd.stop()
        try await clamd.stop()
    }
}
