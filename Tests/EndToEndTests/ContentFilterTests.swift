import Foundation
import Glibc
import Testing

/// The #hungry interface over SMTP, with a filter that does as it is told.
@Suite("Content filters")
struct ContentFilterTests {
    /// An instance whose mail passes through `TestFilter`, and its path.
    private func run(
        _ parameters: [String] = [], _ body: (_ instance: Instance, _ filter: String) async throws -> Void
    ) async throws {
        var filter = ""
        try await Instance.run { settings in
            settings.prepareAlso { instance in
                filter = "\(instance.directory)/var/filter"
                try instance.install(TestFilter.script, as: "filter", mode: 0o755)
                try instance.append(
                    ["PARAM contentfilter \(filter)"] + parameters.map { "PARAM \($0)" }, to: "share/smtpserver.conf")
            }
        } _: { instance in
            try await body(instance, filter)
        }
    }

    private static func message(_ orders: String) -> String {
        "From: <a@client.test>\r\nX-Do: \(orders)\r\nSubject: x\r\n\r\ntext\r\n"
    }

    /// One message, its content by DATA or BDAT.
    private func send(_ instance: Instance, _ orders: String, to user: String, chunked: Bool = false) throws
        -> Connection.Reply
    {
        let client = try Connection.greeted(port: instance.port)
        let text = Self.message(orders)
        guard chunked else {
            return try client.transact(from: "a@client.test", to: ["\(user)@example.test"], message: text)
        }
        #expect(try client.command("MAIL FROM:<a@client.test>").code == 250)
        #expect(try client.command("RCPT TO:<\(user)@example.test>").code == 250)
        try client.send(Array("BDAT \(text.utf8.count) LAST\r\n\(text)".utf8))
        return try client.readReply(deadline: .seconds(60))
    }

    private enum Fate { case delivered, frozen, gone }

    @Test("each result has its effect and its reply, for DATA and BDAT", arguments: [false, true])
    func results(chunked: Bool) async throws {
        let rows: [(orders: String, code: Int, text: String, fate: Fate)] = [
            // The man page's examples.
            (
                "-1 550 5.7.1 negatives are condemned into rejection", 550,
                "5.7.1 Content-Policy reject msg: negatives are condemned into rejection; ", .gone
            ),
            ("0 250 2.6.0 zero is ok! gladly accepted", 250, "2.6.0 zero is ok! gladly accepted; ", .delivered),
            (
                "1 550 5.7.1 positives are sent into the freezer", 550,
                "5.7.1 Content-Policy reject msg: positives are sent into the freezer; ", .frozen
            ),
            ("-1", 550, "5.7.1 Content-Policy reject msg: rejected, no further explanations; ", .gone),
            (
                "-1 250 2.7.1 Glad to see some spam, immediately destroyed :)", 250,
                "2.7.1 Glad to see some spam, immediately destroyed :); ", .gone
            ),
            ("0", 250, "2.0.0 ", .delivered),
            ("0 250 2.6.0 Message OK!", 250, "2.6.0 Message OK!; ", .delivered),
            (
                "1", 250, "2.7.1 Content-Policy accept-into-freezer-1 msg: accepted into freezer, no explanations; ",
                .frozen
            ),
            (
                "1 550 5.7.1 That is spam, rejected!", 550,
                "5.7.1 Content-Policy reject msg: That is spam, rejected!; ", .frozen
            ),
            // And the rest of the rules.
            ("-1 451 4.3.2 busy", 451, "4.3.2 Content-Policy reject msg: busy; ", .gone),
            ("-1 554 worse", 554, "5.7.1 Content-Policy reject msg: worse; ", .gone),
            ("0 gladly", 250, "2.0.0 gladly; ", .delivered),
            ("7 kept", 250, "2.7.1 Content-Policy accept-into-freezer-7 msg: kept; ", .frozen),
            ("-1 550 5.7.1 one\\rtwo", 550, "5.7.1 Content-Policy msg: one; ", .gone),
            // No valid result.
            (
                "nonsense", 250,
                "2.7.1 Content-Policy accept-into-freezer-1 msg: accepted into freezer, no explanations; ", .frozen
            ),
            (
                "nonsense|-1 550 5.7.1 said later all the same", 550,
                "5.7.1 Content-Policy reject msg: said later all the same; ", .gone
            ),
            ("!mute", 250, "2.7.1 Content-Policy accept-into-freezer-1 msg: ", .frozen),
            ("!long", 250, "2.7.1 Content-Policy accept-into-freezer-1 msg: ", .frozen),
            ("!flood", 250, "2.7.1 Content-Policy accept-into-freezer-1 msg: ", .frozen),
            ("!exit", 250, "2.7.1 Content-Policy accept-into-freezer-1 msg: ", .frozen),
        ]
        try await run { instance, _ in
            var delivered = 0
            var frozen = 0
            for row in rows {
                let reply = try send(instance, row.orders, to: "alice", chunked: chunked)
                #expect(reply.code == row.code, "\(row.orders): \(reply)")
                #expect(reply.texts[0].hasPrefix(row.text), "\(row.orders): \(reply)")
                if row.orders.contains("\\r") {
                    #expect(
                        reply.texts.map { $0.dropFirst(6) }.dropFirst() == [
                            "msg: two", "Content-Policy analysis rejected this message",
                        ])
                }
                switch row.fate {
                case .delivered: delivered += 1
                case .frozen: frozen += 1
                case .gone: break
                }
                let count = (instance.spoolFiles["freezer"] ?? []).filter { !$0.contains(".") }.count
                #expect(count == frozen, "\(row.orders): \(instance.spoolFiles)")
                try await waitUntil("no file is left", details: { "\(row.orders) \(instance.report)" }) {
                    instance.spoolFiles["public"] == nil
                }
            }
            try await instance.waitForMail(of: "alice", count: delivered)
            #expect(instance.events("filtered").count >= rows.count)
        }
    }

    @Test("changes that a filter asks for are in the message that is delivered, and the rest is as it was sent")
    func changes() async throws {
        try await run { instance, _ in
            let orders =
                "+header Authentication-Results: us;\\r spf=pass|+header X-Second: 2|-header subject|+header-last X-Last: z|"
                + "tag spam|rewrite-to <bob@example.test>|0 250 2.6.0 changed"
            let reply = try send(instance, orders, to: "alice")
            #expect(reply.code == 250 && reply.texts[0].hasPrefix("2.6.0 changed; "), "\(reply)")
            try await instance.waitForMail(of: "bob", count: 1)
            let text = try #require(instance.maildir("bob").texts.first)
            let lines = text.replacingOccurrences(of: "\r\n", with: "\n").split(
                separator: "\n", omittingEmptySubsequences: false)
            let start = try #require(lines.firstIndex { $0.hasPrefix("Authentication-Results:") })
            #expect(
                lines[start...].starts(with: ["Authentication-Results: us;", " spf=pass", "X-Second: 2"]), "\(text)")
            #expect(lines[start + 3].hasPrefix("Received: "), "\(text)")
            #expect(!text.contains("Subject:"), "\(text)")
            #expect(text.replacingOccurrences(of: "\r\n", with: "\n").hasSuffix("\nX-Last: z\n\ntext\n"), "\(text)")
            #expect(instance.maildir("alice").count == 0)
            let line = try await instance.waitForEvent("filtered", "changes=")
            #expect(line.contains("+3,-1,to=bob@example.test,spam"), "\(line)")
        }
    }

    @Test(
        "without a result the message fares as the configuration says",
        arguments: [("freeze", 250, Fate.frozen), ("defer", 451, .gone), ("accept", 250, .delivered)])
    private func failure(setting: String, code: Int, fate: Fate) async throws {
        try await run(["contentfilter-failure \(setting)"]) { instance, _ in
            let reply = try send(instance, "!mute", to: "alice")
            #expect(reply.code == code, "\(reply)")
            #expect((instance.spoolFiles["freezer"] == nil) == (fate != .frozen))
            if fate == .delivered {
                try await instance.waitForMail(of: "alice", count: 1)
                #expect(
                    try await instance.waitForEvent("filter-bypassed", "count=1").contains("filter: no result"))
            }
        }
    }

    @Test("a filter that hangs costs one message its time, and others none")
    func hanging() async throws {
        try await run(["contentfilter-timeout 2", "contentfilter-failure defer", "contentfilter-maxpar 2"]) {
            instance, _ in
            let client = try Connection.greeted(port: instance.port)
            #expect(try client.command("MAIL FROM:<a@client.test>").code == 250)
            #expect(try client.command("RCPT TO:<alice@example.test>").code == 250)
            #expect(try client.command("DATA").code == 354)
            try client.send(Array((Self.message("!stop") + ".\r\n").utf8))
            for _ in 0..<5 { #expect(try send(instance, "0", to: "bob").code == 250) }
            let reply = try client.readReply(deadline: .seconds(30))
            #expect(reply.code == 451, "\(reply)")
            // The same again, while others are answered, is the message's fault.
            #expect(try send(instance, "0", to: "bob").code == 250)
            let again = try send(instance, "!stop", to: "alice")
            #expect(again.code == 250 && again.texts[0].contains("into-freezer-1"), "\(again)")
            try await instance.waitForEvent("filter-killed", "pid=")
            try await instance.waitForEvent("accepted", "freeze=1", "poison")
            try await instance.waitForMail(of: "bob", count: 6)
        }
    }

    @Test("a missing filter harms one message at a time; when it is there, it is used")
    func missing() async throws {
        try await run(["contentfilter-failure defer"]) { instance, filter in
            #expect(try send(instance, "-1", to: "alice").code == 550)
            let moved = filter + ".away"
            #expect(rename(filter, moved) == 0)
            for pid in ProcessTable.processes(naming: filter).map(\.pid) { kill(pid, SIGKILL) }
            try await waitUntil("no filter is left", details: { instance.report }) {
                try send(instance, "-1", to: "alice").code == 451
            }
            #expect(rename(moved, filter) == 0)
            try await waitUntil("the filter is used again", deadline: .seconds(90), details: { instance.report }) {
                try send(instance, "-1", to: "alice").code == 550
            }
        }
    }

    @Test("a filter whose program has changed is replaced, and nothing is lost meanwhile")
    func replaced() async throws {
        try await run { instance, filter in
            #expect(try send(instance, "-1 old", to: "alice").code == 550)
            let changed = TestFilter.script.replacingOccurrences(of: #"["0"]"#, with: #"["-1 the new one"]"#)
            try instance.install(changed, as: "filter.new", mode: 0o755)
            #expect(rename("\(instance.directory)/var/filter.new", filter) == 0)
            try await instance.waitForEvent("filter-changed", filter)
            let client = try Connection.greeted(port: instance.port)
            let reply = try client.transact(
                from: "a@client.test", to: ["alice@example.test"], message: "Subject: x\r\n\r\nx\r\n")
            #expect(reply.code == 550 && reply.texts[0].contains("the new one"), "\(reply)")
        }
    }

    @Test(
        "filters run one after the other, and the later see what the earlier have changed; a listener may have others")
    func several() async throws {
        let port = try FreePorts.take()
        let second = #"""
            #!/bin/sh
            while echo "#hungry" && read -r path; do
                if grep -q "^X-First: seen" "$path"; then echo "-1 550 5.7.1 the second has seen the first"; else echo "0"; fi
            done

            """#
        try await Instance.run { settings in
            settings.prepareAlso { instance in
                try instance.install(TestFilter.script, as: "filter", mode: 0o755)
                try instance.install(second, as: "second", mode: 0o755)
                let filter = "\(instance.directory)/var/filter"
                try instance.append(
                    [
                        "PARAM contentfilter \(filter)", "PARAM contentfilter \(instance.directory)/var/second",
                        "PARAM newgroup", "PARAM BindSmtp [127.0.0.1] \(port)", "PARAM no-contentfilter",
                    ], to: "share/smtpserver.conf")
            }
        } _: { instance in
            #expect(try send(instance, "0", to: "alice").code == 250)
            let reply = try send(instance, "+header X-First: seen|0", to: "alice")
            #expect(reply.code == 550 && reply.texts[0].contains("the second has seen"), "\(reply)")
            let client = try Connection.greeted(port: port)
            let other = try client.transact(
                from: "a@client.test", to: ["alice@example.test"], message: Self.message("-1"))
            #expect(other.code == 250, "\(other)")
            try await instance.waitForMail(of: "alice", count: 2)
        }
    }

    @Test(
        "the policy says whose mail is filtered: clients that may relay are not, unless it wants it; the log says why")
    func policy() async throws {
        try await Instance.run { settings in
            settings.usePolicy([
                "[127.0.0.2]/32 relaycustnet +", "[127.0.0.3]/32 relaycustnet + filtering +",
                "[127.0.0.4]/32 filtering -", "[127.0.0.5]/32 freezenet +",
            ])
            settings.prepareAlso { instance in
                try instance.install(TestFilter.script, as: "filter", mode: 0o755)
                try instance.append(
                    ["PARAM contentfilter \(instance.directory)/var/filter", "PARAM debug-contentfilter"],
                    to: "share/smtpserver.conf")
            }
        } _: { instance in
            for (source, code, isFiltered) in [
                ("127.0.0.1", 550, true), ("127.0.0.2", 250, false), ("127.0.0.3", 550, true),
                ("127.0.0.4", 250, false),
                ("127.0.0.5", 250, false),
            ] {
                let client = try Connection(port: instance.port, from: source)
                #expect(try client.readReply().code == 220)
                #expect(try client.command("EHLO client.test").code == 250)
                let reply = try client.transact(
                    from: "a@client.test", to: ["alice@example.test"], message: Self.message("# looking|-1 no"))
                #expect(reply.code == code, "\(source): \(reply)")
                #expect(isFiltered == (reply.code == 550))
            }
            #expect(instance.events("filter-skipped").count == 3)
            try await instance.waitForEvent("filter-skipped", "the policy freezes it")
            try await instance.waitForEvent("filter-traffic", "received=\"-1 no\"")
            try await instance.waitForEvent("filter-said", "# looking")
            try await instance.waitForMail(of: "alice", count: 2)
        }
    }

    @Test("a message that kills a process with several is found out, and the others are not to blame")
    func innocent() async throws {
        let script = #"""
            #!/usr/bin/env python3
            import os, sys, threading, time
            lock = threading.Lock()
            def say(text):
                with lock:
                    sys.stdout.write(text)
                    sys.stdout.flush()
            def judge(path):
                deadly = b"X-Do: die" in open(path, "rb").read()
                time.sleep(0.5)
                if deadly:
                    os._exit(1)
                say(path + " 0\n#hungry\n")
            say("#hungry\n" * 8)
            for line in sys.stdin:
                threading.Thread(target=judge, args=(line.rstrip("\n"),), daemon=True).start()

            """#
        try await Instance.run { settings in
            settings.prepareAlso { instance in
                try instance.install(script, as: "filter", mode: 0o755)
                try instance.append(
                    [
                        "PARAM contentfilter \(instance.directory)/var/filter", "PARAM contentfilter-maxpar 1",
                        "PARAM contentfilter-failure defer",
                    ], to: "share/smtpserver.conf")
            }
        } _: { instance in
            let clients = try (0..<6).map { _ in try Connection.greeted(port: instance.port) }
            for (number, client) in clients.enumerated() {
                #expect(try client.command("MAIL FROM:<a@client.test>").code == 250)
                #expect(try client.command("RCPT TO:<alice@example.test>").code == 250)
                #expect(try client.command("DATA").code == 354)
                try client.send(Array((Self.message(number == 2 ? "die" : "live") + ".\r\n").utf8))
            }
            for (number, client) in clients.enumerated() {
                let reply = try client.readReply(deadline: .seconds(60))
                if number == 2 {
                    #expect(reply.code == 451 || reply.texts[0].contains("into-freezer-1"), "\(reply)")
                } else {
                    #expect(reply.code == 250 && reply.texts[0].hasPrefix("2.0.0 "), "\(reply)")
                }
            }
            try await instance.waitForMail(of: "alice", count: 5)
        }
    }

    @Test(
        "a program that is no filter is not started again and again",
        arguments: ["echo hello; sleep 0.05", "echo '#hungry'; sleep 0.05", "exit 1", "echo '#hungry'; echo '#hungry'"])
    func storm(body: String) async throws {
        try await Instance.run { settings in
            settings.prepareAlso { instance in
                try instance.install(
                    "#!/bin/sh\necho x >>'\(instance.directory)/starts'\n\(body)\n", as: "filter", mode: 0o755)
                try instance.append(
                    [
                        "PARAM contentfilter \(instance.directory)/var/filter", "PARAM contentfilter-failure defer",
                        "PARAM contentfilter-timeout 4",
                    ], to: "share/smtpserver.conf")
            }
        } _: { instance in
            let reply = try send(instance, "0", to: "alice")
            #expect(reply.code == 451, "\(reply)")
            let starts = instance.read("starts").split(separator: "\n").count
            #expect(starts < 20, "\(starts) starts")
        }
    }

    @Test("a client that goes away leaves nothing in the queue of the filter, and no file")
    func abandoned() async throws {
        try await run(["contentfilter-maxpar 1", "contentfilter-timeout 60"]) { instance, _ in
            do {
                let clients = try (0..<20).map { _ in try Connection.greeted(port: instance.port) }
                for client in clients {
                    client.abandon()
                    #expect(try client.command("MAIL FROM:<a@client.test>").code == 250)
                    #expect(try client.command("RCPT TO:<alice@example.test>").code == 250)
                    #expect(try client.command("DATA").code == 354)
                    try client.send(Array((Self.message("!sleep 5|0") + ".\r\n").utf8))
                }
                try await waitUntil("all wait for the filter", details: { instance.report }) {
                    (instance.spoolFiles["public"]?.count ?? 0) >= 10
                }
            }
            try await waitUntil("what nobody waits for is gone", details: { instance.report }) {
                (instance.spoolFiles["public"]?.count ?? 0) <= 1
            }
            #expect(try send(instance, "-1", to: "alice").code == 550)
            #expect(instance.maildir("alice").count == 0)
        }
    }

    @Test(
        "a filter may be a daemon at a socket, named as such or found to be one, also when it comes after us",
        arguments: ["unix:", ""])
    func socket(prefix: String) async throws {
        let daemon = #"""
            import os, socket, sys, threading
            def serve(client):
                stream = client.makefile("rw", newline="\n")
                stream.write("#hungry\n"); stream.flush()
                for path in stream:
                    text = open(path.rstrip("\n"), "rb").read()
                    stream.write("-1 550 5.7.1 by socket\n#hungry\n" if b"X-Do: bad" in text else "0\n#hungry\n")
                    stream.flush()
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(sys.argv[1])
            listener.listen(8)
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

            """#
        try await Instance.run { settings in
            settings.prepareAlso { instance in
                try instance.append(
                    [
                        "PARAM contentfilter \(prefix)\(instance.directory)/filter.sock",
                        "PARAM contentfilter-failure defer",
                    ],
                    to: "share/smtpserver.conf")
            }
        } _: { instance in
            #expect(try send(instance, "good", to: "alice").code == 451, "nobody is there yet")
            let script = "\(instance.directory)/var/daemon.py"
            try instance.install(daemon, as: "daemon.py", mode: 0o755)
            let process = try instance.spawn("/usr/bin/python3", [script, "\(instance.directory)/filter.sock"])
            try await waitUntil("the daemon is asked", deadline: .seconds(60), details: { instance.report }) {
                try send(instance, "bad", to: "alice").code == 550
            }
            #expect(try send(instance, "good", to: "alice").code == 250)
            try await instance.waitForMail(of: "alice", count: 1)
            process.signal(SIGTERM)
            try await process.waitForExit()
        }
    }

    @Test("the end of the server is told to who waits for a filter, and keeps nothing")
    func shutdown() async throws {
        try await run { instance, _ in
            let client = try Connection.greeted(port: instance.port)
            #expect(try client.command("MAIL FROM:<a@client.test>").code == 250)
            #expect(try client.command("RCPT TO:<alice@example.test>").code == 250)
            #expect(try client.command("DATA").code == 354)
            // A command behind the message is not answered any more.
            try client.send(Array((Self.message("!sleep 30|0") + ".\r\nNOOP\r\n").utf8))
            try await waitUntil("the filter has it", details: { instance.report }) {
                instance.spoolFiles["public"]?.count == 1
            }
            instance.supervisor?.signal(SIGTERM)
            let reply = try client.readReply(deadline: .seconds(30))
            #expect(reply.code == 421, "\(reply)")
            #expect(throws: HarnessError.self) { try client.readReply(deadline: .seconds(30)) }
            try await instance.stop()
            #expect(instance.spoolFiles.isEmpty, "\(instance.spoolFiles)")
        }
    }

    @Test("--check tells of filters that cannot be used, and the server runs without them")
    func unusable() async throws {
        try await run(["contentfilter /nonexistent/filter", "contentfilter-failure defer"]) { instance, filter in
            let check = try await instance.run(
                "\(Programs.libexec)/smtpserver", ["--check", "-Z", instance.configuration])
            #expect(check.status == .exited(0), "\(check.output)")
            #expect(
                check.output.contains("PARAM contentfilter /nonexistent/filter: No such file or directory"),
                "\(check.output)")
            try await instance.waitForEvent("filter-unusable", "/nonexistent/filter")
            #expect(try send(instance, "-1", to: "alice").code == 550, "the first filter refuses it")
            #expect(try send(instance, "0", to: "alice").code == 451)
        }
    }

    @Test("SMTPOPTIONS of zmailer.conf are smtpserver's options, and smtpserver -M holds")
    func options() async throws {
        try await Instance.run { settings in
            settings.zenv["SMTPOPTIONS"] = "-M 1000 -s ve"
        } _: { instance in
            let client = try Connection.greeted(port: instance.port)
            #expect(try client.command("MAIL FROM:<a@client.test> SIZE=2000").code == 552)
        }
    }

    @Test("a worker that dies, and a new configuration, leave no filter behind")
    func lifetime() async throws {
        try await run(["contentfilter-maxpar 1"]) { instance, filter in
            #expect(try send(instance, "-1", to: "alice").code == 550)
            let first = Set(ProcessTable.processes(naming: filter).map(\.pid))
            #expect(!first.isEmpty)
            for pid in instance.workers { kill(pid, SIGKILL) }
            try await waitUntil("the filter of the dead worker has ended", details: { instance.report }) {
                first.isDisjoint(with: ProcessTable.processes(naming: filter).map(\.pid))
            }
            try await waitUntil("filtering goes on", details: { instance.report }) {
                (try? send(instance, "-1", to: "alice"))?.code == 550
            }
            let second = Set(ProcessTable.processes(naming: filter).map(\.pid))
            #expect(try await instance.zmailer("reload").status == .exited(0))
            try await instance.waitForEvent("reloaded")
            try await waitUntil("the filter of the old worker has ended", details: { instance.report }) {
                second.isDisjoint(with: ProcessTable.processes(naming: filter).map(\.pid))
            }
            #expect(try send(instance, "-1", to: "alice").code == 550)
        }
    }
}
