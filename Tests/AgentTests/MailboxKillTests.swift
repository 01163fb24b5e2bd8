import AgentProtocol
import Glibc
import SpoolFormat
import Testing

@testable import MailboxAgent

/// The agent is killed at each system call of a delivery, by strace(1), and started again.
@Suite("A delivery that is killed", .serialized, .enabled(if: AgentProcess.exists && AgentProcess.canBeTraced))
struct MailboxKillTests {
    let fixture: MailboxFixture

    init() throws { fixture = try MailboxFixture() }

    /// A body of several pieces, so that there are steps within the writing of it.
    private static let body = String(repeating: "0123456789abcdef\r\n", count: 12_000)
    private static let text = body.replacing("\r\n", with: "\n")

    private func message(_ user: String, _ subject: String) throws -> SpoolID {
        let content = "Subject: \(subject)\r\n\r\n\(Self.body)"
        return try fixture.spool.add([.from("s@a.example", [("local", "-", user)])], content: content) { control in
            control.bodyOffset = control.headerStart + "Subject: \(subject)\r\n\r\n".utf8.count
        }.id
    }

    private func configure(_ mailbox: String, _ locks: String = ".L:L") throws {
        try fixture.write(
            """
            ACCOUNTS=file:\(fixture.root)/users
            MAILBOX=\(mailbox)
            MBOXLOCKS=\(locks)
            LOGDIR=\(fixture.root)
            HOSTNAME=mx.example.test

            """, to: "zmailer.conf")
    }

    /// Ends the agent as the `count`th `call` begins; whether it came to that.
    private func kill(_ id: SpoolID, at call: String, _ count: Int) throws -> Bool {
        let inject =
            "strace -f -qq -o /dev/null -e trace=\(call) -e inject=\(call):signal=KILL:when=\(count) \"$0\" \"$@\""
        let agent = try AgentProcess(fixture, ["-j", "1"], shell: inject)
        agent.send("\(id)\t-\n")
        return !agent.finish().contains { $0.contains("\tok ") }
    }

    private func deliver(_ ids: [SpoolID]) throws -> [String] {
        let agent = try AgentProcess(fixture, ["-j", "1"])
        agent.send(ids.map { "\($0)\t-\n" }.joined())
        return agent.finish().filter { $0.contains("\t") }
    }

    @Test(
        "leaves a Maildir without half a message, and the next attempt delivers one",
        arguments: ["linkat", "write", "fsync", "mkdir"])
    func maildir(call: String) throws {
        try configure("maildir:\(fixture.root)/mail/%u")
        let users = (0..<40).map { "u\($0)" }
        try fixture.write(users.map { "\($0)\n" }.joined(), to: "users")
        for (index, user) in users.enumerated() {
            let id = try message(user, "first")
            guard try kill(id, at: call, index + 1) else { break }
            let lines = try deliver([id])
            #expect(lines.count == 1 && lines[0].contains("\tok "), "\(lines)")
            let files = fixture.files("mail/\(user)/new")
            #expect(files.count == 1, "\(call) \(index + 1)")
            #expect(files.values.allSatisfy { $0.hasSuffix(Self.text) })
            #expect(fixture.names("mail/\(user)/tmp") == [])
        }
    }

    @Test(
        "leaves a mailbox file that the next delivery puts in order: nothing lost, nothing half, nothing twice",
        arguments: ["link", "write", "fsync", "fsetxattr", "fgetxattr", "unlink"], [".L", "L"])
    func mbox(call: String, locks: String) throws {
        try configure("mbox:\(fixture.root)/%u.mbox", "\(locks):L")
        let users = (0..<40).map { "u\($0)" }
        try fixture.write(users.map { "\($0)\n" }.joined(), to: "users")
        var duplicates = 0
        for (index, user) in users.enumerated() {
            try fixture.write(
                "From old@a.example Thu Jan  1 00:00:00 1970\nSubject: old\n\nold\n\n", to: "\(user).mbox")
            let first = try message(user, "first")
            guard try kill(first, at: call, index + 1) else { break }
            // Another message comes before the one that was cut off, or not.
            let other = index % 2 == 0 ? [try message(user, "second")] : []
            let lines = try deliver(other + [first])
            #expect(lines.count == other.count + 1 && lines.allSatisfy { $0.contains("\tok ") }, "\(lines)")
            let text = fixture.read("\(user).mbox")
            let messages = text.split(separator: "From ").map(String.init)
            #expect(messages[0].contains("\nSubject: old\n"))
            let copies = messages.count { $0.contains("\nSubject: first\n") }
            #expect(copies >= 1)
            duplicates += copies - 1
            #expect(messages.count == copies + 1 + other.count)
            #expect(messages.dropFirst().allSatisfy { $0.hasSuffix("\n\n\(Self.text)\n") }, "\(call) \(index + 1)")
            #expect(!fixture.names("").contains { $0.hasPrefix("\(user).mbox.lock") && !$0.contains(".lock.") })
        }
        print("killed at \(call), locks \(locks): \(duplicates) duplicates")
        #expect(duplicates == 0)
    }
}

extension AgentProcess {
    /// Whether strace is there and allowed.
    static let canBeTraced: Bool = {
        guard access("/usr/bin/strace", X_OK) == 0 else { return false }
        return system("/usr/bin/strace -qq -o /dev/null /bin/true 2>/dev/null") == 0
    }()
}
