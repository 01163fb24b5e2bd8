import Foundation
import PolicyRows
import Testing

/// Asking the policy from the outside: `zmailer explain` and `smtpserver -i -d 1 -T`.
@Suite("Policy: explain and -T", .serialized)
struct PolicyExplainTests {
    private struct Explanation: Decodable {
        struct Step: Decodable {
            let kind: String
            let subject: String
            let outcome: String
            let origin: String
        }
        struct Phase: Decodable {
            let phase: String
            let verdict: String
            let reason: String
            let reply: [String]
            let freeze: Int
            let maximum_size: Int
            let steps: [Step]
        }
        let source: String
        let client_name: String
        let client_flags: String
        let verdict: String
        let exit: Int
        let phases: [Phase]
    }

    private static func arguments(_ row: DecisionTable.Row) -> [String] {
        var arguments = ["explain", "--json", "--from-ip", row.client, "--helo", row.helo]
        arguments += ["--mail-from", "<\(row.sender)>", "--rcpt", "<\(row.recipient)>"]
        return arguments + (row.user.isEmpty ? [] : ["--auth", row.user])
    }

    @Test("every row of the decision table, as the running service explains it")
    func rows() async throws {
        let lines = try PolicyFolder.sourceLines()
        for group in try PolicyFolder.groups() {
            try await Instance.run { settings in
                try settings.usePolicySample(group[0].parameters)
            } _: { instance in
                for row in group {
                    let arguments = Self.arguments(row) + ["-Z", instance.configuration]
                    let run = try await instance.run(Programs.zmailer, arguments)
                    guard let explanation = try? JSONDecoder().decode(Explanation.self, from: Data(run.output.utf8))
                    else {
                        Issue.record("\(row): \(run.status): \(run.output)")
                        continue
                    }
                    Self.expect(row, explanation, lines)
                }
            }
        }
    }

    private static func expect(_ row: DecisionTable.Row, _ explanation: Explanation, _ lines: [String: [Substring]]) {
        #expect(explanation.source == "service", "\(row)")
        let deciding =
            explanation.phases.first { !["accept", "submit", "freeze"].contains($0.verdict) }
            ?? explanation.phases[explanation.phases.count - 1]
        let isTaken = ["accept", "submit", "freeze"].contains(deciding.verdict)
        let phase = isTaken ? (deciding.freeze > 0 ? "freeze" : "ok") : deciding.phase
        let got = "\(phase) \(deciding.reply.joined(separator: " / ")) (\(deciding.reason))"
        #expect(phase == row.phase.rawValue, "\(row): \(got)")
        guard phase == row.phase.rawValue else { return }
        if !isTaken {
            // `550 5.7.1` is the first of each line.
            let status = row.code.split(separator: " ").joined(separator: " ")
            #expect(deciding.reply.last?.hasPrefix(status) ?? false, "\(row): \(got)")
            let texts = deciding.reply.map { $0.dropFirst(4) }.joined(separator: " / ")
            #expect(row.replyFragment.isEmpty || texts.contains(row.replyFragment), "\(row): \(got)")
        }
        if let complaint = row.complaint(about: deciding.reason, sources: lines) {
            Issue.record("\(row): \(complaint)")
        }
        let connect = explanation.phases[0]
        for (key, value) in row.also {
            switch key {
            case "size": #expect("\(connect.maximum_size)" == value, "\(row)")
            case "verdict": #expect(deciding.verdict == value, "\(row): \(got)")
            case "flags": #expect(explanation.client_flags == value, "\(row)")
            // The filter is the core's test.
            default: break
            }
        }
        #expect(explanation.exit == (isTaken ? 0 : deciding.verdict == "temporary" ? 75 : 1), "\(row)")
        // Full trust and needless questions apart, each decision tells its steps.
        #expect(connect.steps.contains { $0.kind == "chain" || $0.kind == "key" }, "\(row): no steps")
    }

    @Test("for people: keys, attributes, origins, DNS answers, the reply and the verdict; and without a service")
    func human() async throws {
        try await Instance.run {
            try $0.usePolicySample(["spf-threshold": "none"])
        } _: { instance in
            let arguments = [
                "explain", "--from-ip", "203.0.113.9", "--helo", "client.test", "--mail-from", "u@client.test",
                "--rcpt",
                "u@mxother.test", "-Z", instance.configuration,
            ]
            let refused = try await instance.run(Programs.zmailer, arguments)
            #expect(refused.status == .exited(1), "\(refused.output)")
            for text in [
                "[0.0.0.0]/0", "acceptifmx", "smtp-policy.src:", "mx.mxother.test", "MX rule", "550 5.7.1", "via .",
                "result: refuse",
            ] { #expect(refused.output.contains(text), "\(text) is not in: \(refused.output)") }
            let accepted = try await instance.run(
                Programs.zmailer,
                [
                    "explain", "--from-ip", "[10.6.0.1]", "--mail-from", "<>", "--rcpt", "u@aother.test", "--rcpt",
                    "alice@example.test", "-Z", instance.configuration,
                ])
            #expect(accepted.status == .exited(0), "\(accepted.output)")
            #expect(accepted.output.contains("relaycustnet +"), "\(accepted.output)")
            try await instance.stop()
            let alone = try await instance.run(Programs.zmailer, arguments)
            #expect(alone.status == .exited(1), "\(alone.output)")
            #expect(alone.output.contains("evaluated here"), "\(alone.output)")
            #expect(alone.output.contains("MX rule"), "\(alone.output)")
            for wrong in ["1.2.3", "[1.2.3.4", "1.2.3.400", "", "host.test"] {
                let run = try await instance.run(
                    Programs.zmailer,
                    ["explain", "--from-ip=\(wrong)", "--mail-from", "", "--rcpt", "a@b", "-Z", instance.configuration])
                #expect(run.status == .exited(64), "\(wrong): \(run.output)")
            }
        }
    }

    // MARK: smtpserver -T

    private static func testSession(_ instance: Instance, _ literal: String, _ lines: [String], debug: Bool = true)
        async throws -> (status: TestProcess.ExitStatus, output: String)
    {
        try instance.write(lines.map { $0 + "\r\n" }.joined(), to: "dialogue")
        return try await instance.run(
            "\(Programs.libexec)/smtpserver",
            ["-i"] + (debug ? ["-d", "1"] : []) + ["-T", literal, "-Z", instance.configuration],
            input: "\(instance.directory)/dialogue")
    }

    private static let dialogue = [
        "EHLO client.test", "MAIL FROM:<>", "RCPT TO:<alice@example.test>", "RCPT TO:<u@mxother.test>", "QUIT",
    ]

    @Test("-T without a daemon: the dialogue of the man page, analysed step by step from the banner on")
    func interactive() async throws {
        try await Instance.run {
            try $0.usePolicySample()
        } _: { instance in
            try await instance.stop()
            let session = try await Self.testSession(instance, "[203.0.113.9]", Self.dialogue)
            let lines = session.output.replacingOccurrences(of: "\r", with: "").split(separator: "\n")
            let replies = lines.filter { !$0.hasPrefix("000") }
            #expect(replies.first?.hasPrefix("220") ?? false, "\(session.output)")
            #expect(lines.first?.hasPrefix("000-") ?? false, "the banner's verdict is told first: \(session.output)")
            #expect(replies.contains { $0.hasPrefix("250 2.1.5") }, "\(session.output)")
            #expect(replies.contains { $0.hasPrefix("550 5.7.1") && $0.contains("MX rule") }, "\(session.output)")
            #expect(replies.last?.hasPrefix("221") ?? false)
            for text in ["[0.0.0.0]/0", "acceptifmx", "mx.mxother.test", "smtp-policy.src:"] {
                #expect(lines.contains { $0.hasPrefix("000-") && $0.contains(text) }, "\(text): \(session.output)")
            }
            let quiet = try await Self.testSession(instance, "[203.0.113.9]", Self.dialogue, debug: false)
            #expect(!quiet.output.contains("000-"), "\(quiet.output)")
            let rejected = try await Self.testSession(instance, "[10.1.0.1]", Self.dialogue)
            #expect(
                rejected.output.contains("550 5.7.1") && rejected.output.contains("rejectnet"), "\(rejected.output)")
            let customer = try await Self.testSession(
                instance, "[IPv6:2001:db8:3::1]",
                ["EHLO client.test", "MAIL FROM:<>", "RCPT TO:<u@mxother.test>", "QUIT"])
            #expect(!customer.output.contains("MX rule"), "\(customer.output)")
            #expect(instance.spoolFiles.isEmpty)
        }
    }

    @Test("-T stores nothing")
    func nothingStored() async throws {
        try await Instance.run {
            try $0.usePolicySample()
        } _: { instance in
            let session = try await Self.testSession(
                instance, "[203.0.113.9]",
                [
                    "EHLO client.test", "MAIL FROM:<>", "RCPT TO:<alice@example.test>", "DATA", "Subject: x", "", "x",
                    ".", "QUIT",
                ])
            #expect(session.output.contains("554"), "\(session.output)")
            #expect(instance.spoolFiles.isEmpty)
            #expect(instance.maildir("alice").count == 0)
        }
    }

    @Test(
        "-T refuses what is no literal, as the man page says: an error and the usage",
        arguments: [
            "1.2.3.4", "[1.2.3.4", "1.2.3.4]", "[]", "[1.2.3]", "[1.2.3.400]", "[host.test]", "", "[IPv6:zz::]",
        ])
    func badLiteral(literal: String) async throws {
        try await Instance.run { _ in
        } _: { instance in
            let session = try await Self.testSession(instance, literal, Self.dialogue)
            #expect(session.status != .exited(0), "\(session.output)")
            #expect(!session.output.contains("220 "), "\(session.output)")
            #expect(session.output.lowercased().contains("usage") || session.output.contains("-T"), "\(session.output)")
        }
    }
}
