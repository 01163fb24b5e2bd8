import Testing

@Suite("Aliases and local targets")
struct AliasTests {
    @Test("lists, includes, files, programs, details and loops")
    func targets() async throws {
        try await Instance.run { settings in
            settings.aliases = [
                "team: alice, bob", "loop1: loop2", "loop2: loop1, bob", "archive: /tmp-placeholder",
                "prog: \"|cat >&2\"",
            ]
        } _: { instance in
            let aliases = instance.read("var/db/aliases")
                .replacing("/tmp-placeholder", with: "\(instance.directory)/archive.mbox")
                .replacing("\"|cat >&2\"", with: "\"|/bin/cat > \(instance.directory)/program.out\"")
            try instance.write(aliases + "members: :include:\(instance.directory)/members.list\n", to: "var/db/aliases")
            try instance.write("alice\nbob@example.test\n", to: "members.list")
            try await waitUntil("the new aliases are known", details: { instance.report }) {
                let client = try Connection.greeted(port: instance.port)
                try client.command("MAIL FROM:<>")
                return try client.command("RCPT TO:<members@example.test>").code == 250
            }
            let client = try Connection.greeted(port: instance.port)
            for recipient in ["team", "loop1", "archive", "prog", "members", "alice+detail", "TEAM"] {
                let reply = try client.transact(
                    from: "sender@client.test", to: ["\(recipient)@example.test"],
                    message: "Subject: to \(recipient)\r\n\r\nbody of \(recipient)\r\n")
                #expect(reply.code == 250, "\(recipient): \(reply)")
            }
            try await instance.waitForEmptySpool()
            let alice = instance.maildir("alice").texts
            let bob = instance.maildir("bob").texts
            for subject in ["to team", "to members", "to TEAM"] {
                #expect(alice.count { $0.contains("Subject: \(subject)\n") } == 1, "alice, \(subject)")
                #expect(bob.count { $0.contains("Subject: \(subject)\n") } == 1, "bob, \(subject)")
            }
            #expect(bob.count { $0.contains("Subject: to loop1\n") } == 1)
            #expect(alice.count { $0.contains("Subject: to alice+detail\n") } == 1)
            #expect(instance.read("archive.mbox").contains("body of archive"))
            #expect(instance.read("program.out").contains("body of prog"))
            #expect(instance.maildir("postmaster").count == 0)
        }
    }
}
