import Foundation
import Glibc
import Testing

/// Answers of users who are away.
@Suite("Vacation", .serialized, .enabled(if: TestAccounts.canBeMade))
struct VacationTests {
    private static let text = "Subject: Away: $SUBJECT\n\nDear $NAME, I am away.\n"

    /// Pipes find our vacation in PATH of zmailer.conf.
    private func run(_ body: (AccountPrograms, TestAccounts) async throws -> Void) async throws {
        let change: (inout Instance.Settings, TestAccounts) -> Void = { settings, _ in
            settings.zenv["PATH"] = (settings.zenv["MAILBIN"] ?? "") + "/../bin:/usr/bin:/bin"
        }
        try await RootTests.run(change) { instance, accounts in try await body(AccountPrograms(instance), accounts) }
    }

    private func leave(_ account: TestAccounts.Account) throws {
        try AccountPrograms.write("\\\(account.name), \"|vacation \(account.name)\"\n", ".forward", of: account)
        try AccountPrograms.write(Self.text, ".vacation.msg", of: account)
    }

    private func send(
        _ programs: AccountPrograms, from: TestAccounts.Account, to: TestAccounts.Account, fields: String = "",
        _ arguments: [String] = []
    ) async throws {
        let message = "From: \(from.name)@example.test\nTo: \(to.name)@example.test\nSubject: lunch\n\(fields)\nx\n"
        let sent = try await programs.run(as: from, programs.sendmail, arguments + [to.name], input: message)
        #expect(sent.status == .exited(0), "\(sent.output)")
    }

    @Test("who writes is told once; lists, programs and reports are not")
    func once() async throws {
        try await run { programs, accounts in
            let (alice, bob) = (accounts.alice, accounts.bob)
            try leave(alice)
            for fields in ["Precedence: bulk\n", "List-Id: <l.example.test>\n", "Auto-Submitted: auto-generated\n"] {
                try await send(programs, from: bob, to: alice, fields: fields)
            }
            try await send(programs, from: bob, to: alice, ["-f", ""])
            try await programs.waitForMail(of: alice, 4)
            #expect(AccountPrograms.maildir(bob).count == 0)
            try await send(programs, from: bob, to: alice)
            try await programs.waitForMail(of: bob, 1)
            try await send(programs, from: bob, to: alice)
            try await programs.waitForMail(of: alice, 6)
            try await programs.waitForMail(of: bob, 1)
            let answer = try #require(AccountPrograms.maildir(bob).texts.first)
            #expect(answer.hasPrefix("Return-Path: <>\n"), "\(answer)")
            #expect(answer.contains("\nAuto-Submitted: auto-replied (vacation)\n"), "\(answer)")
            #expect(answer.contains("\nSubject: Away: lunch\n"), "\(answer)")
            #expect(answer.contains("\nIn-Reply-To: <") && answer.contains("\nReferences: <"), "\(answer)")
            #expect(answer.contains("\nDear \(bob.name)@example.test, I am away.\n"), "\(answer)")
            #expect(answer.contains("user=\(alice.name) via=local"), "\(answer)")
        }
    }

    @Test("two who are away do not tell each other for ever")
    func loop() async throws {
        try await run { programs, accounts in
            let (alice, bob) = (accounts.alice, accounts.bob)
            try leave(alice)
            try leave(bob)
            try await send(programs, from: bob, to: alice)
            try await programs.waitForMail(of: alice, 1)
            try await programs.waitForMail(of: bob, 1)
        }
    }

    @Test("-i begins anew, -l lists who was told, and a broken database is put aside")
    func database() async throws {
        try await run { programs, accounts in
            let (alice, bob) = (accounts.alice, accounts.bob)
            try leave(alice)
            func vacation(_ arguments: [String]) async throws -> String {
                let ran = try await programs.run(as: alice, "\(programs.folder)/bin/vacation", arguments)
                #expect(ran.status == .exited(0), "\(ran.output)")
                return ran.output
            }
            try await send(programs, from: bob, to: alice)
            try await programs.waitForMail(of: bob, 1)
            #expect(try await vacation(["-l"]).hasPrefix("\(bob.name)@example.test "))
            #expect(try await vacation(["-i", "-r", "3"]).isEmpty)
            #expect(try await vacation(["-l"]).isEmpty)
            try await send(programs, from: bob, to: alice)
            try await programs.waitForMail(of: bob, 2)
            try AccountPrograms.write("no database", ".vacation.db", of: alice, mode: 0o600)
            try await send(programs, from: bob, to: alice)
            try await programs.waitForMail(of: bob, 3)
            #expect(access("\(AccountPrograms.home(of: alice))/.vacation.db.bad", F_OK) == 0)
        }
    }

    @Test(
        "Debian's vacation finds what it needs",
        .enabled(if: PeerAccounts.canBeMade && access(Programs.vacation, X_OK) == 0))
    func debian() async throws {
        try await run { programs, accounts in
            let (alice, bob) = (accounts.alice, accounts.bob)
            try AccountPrograms.write(Self.text, ".vacation.msg", of: alice)
            let start = try await programs.runPeer(as: alice, Programs.vacation, ["-i"])
            #expect(start.status == .exited(0), "\(start.output)")
            let message =
                "From \(bob.name)@example.test Fri Nov 27 04:20:00 2026\nFrom: \(bob.name)@example.test\n"
                + "To: \(alice.name)@example.test\nSubject: lunch\nMessage-ID: <1@example.test>\n\nx\n"
            let told = try await programs.runPeer(as: alice, Programs.vacation, [alice.name], input: message)
            #expect(told.status == .exited(0), "\(told.output)")
            try await programs.waitForMail(of: bob, 1)
            let answer = try #require(AccountPrograms.maildir(bob).texts.first)
            #expect(answer.contains("\nSubject: Away: lunch\n"), "\(answer)")
        }
    }
}
