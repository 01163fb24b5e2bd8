import Foundation
import Testing

/// What keeps a mail system in order by itself: the check of the queue, metrics, the intake's throttle, leftovers.
@Suite("House-keeping")
struct HousekeepingTests {
    private static func check(
        _ instance: Instance, _ arguments: String...
    ) async throws -> (status: TestProcess.ExitStatus, output: String) {
        try await instance.run(Programs.zmailer, ["check", "queue"] + arguments + ["-Z", instance.configuration])
    }

    /// A running system whose mail waits for ever.
    private static func queued(_ instance: Instance, _ count: Int) async throws -> [String] {
        for number in 0..<count {
            let client = try Connection.greeted(port: instance.port)
            let reply = try client.transact(
                from: "a@client.test", to: ["x\(number)@gone.test"], message: "Subject: \(number)\r\n\r\nbody\r\n")
            #expect(reply.code == 250, "\(reply)")
        }
        try await waitUntil("all of it is routed", details: { instance.report }) {
            instance.spoolFiles["queue"]?.count == count && instance.spoolFiles["router"]?.isEmpty != false
        }
        return instance.spoolFiles["queue"] ?? []
    }

    private static func settings(_ settings: inout Instance.Settings) {
        settings.relayDomains = ["gone.test"]
        settings.routes = ["gone.test smtp![127.0.0.1]:1"]
    }

    @Test("a running system with mail in its queue has no strays")
    func inOrder() async throws {
        try await Instance.run(Self.settings) { instance in
            let ids = try await Self.queued(instance, 3)
            let (status, output) = try await Self.check(instance)
            #expect(status == .exited(0), "\(output)")
            #expect(output.contains("strays: 0, to be looked at: 0;"), "\(output)")
            #expect(output.contains("in the queue 3,") && output.contains("router up, scheduler up"), "\(output)")
            let json = try await Self.check(instance, "--json")
            #expect(json.output.contains("\"strays\":0,\"open\":0,") && json.output.contains("\"queued\":3"))
            #expect(instance.spoolFiles["queue"]?.sorted() == ids.sorted())
        }
    }

    @Test("strays are named by a dry run, put in order beside running daemons, and then there are none")
    func strays() async throws {
        try await Instance.run(Self.settings) { instance in
            let ids = try await Self.queued(instance, 2)
            let folder = instance.postoffice
            let files = FileManager.default
            // A name of the same time that nobody has.
            let other = String(try #require(UInt64(ids[1])) + 63)
            // The scheduler has these two and must not notice anything.
            try files.linkItem(atPath: "\(folder)/queue/\(ids[0])", toPath: "\(folder)/deferred/\(ids[0])")
            try files.copyItem(atPath: "\(folder)/queue/\(ids[1])", toPath: "\(folder)/queue/\(other)")
            try files.copyItem(atPath: "\(folder)/queue/\(ids[1])", toPath: "\(folder)/router/88.tmp")
            let old = [FileAttributeKey.modificationDate: Date(timeIntervalSinceNow: -9000)]
            try files.setAttributes(old, ofItemAtPath: "\(folder)/router/88.tmp")

            let dry = try await Self.check(instance, "--dry-run")
            #expect(dry.status == .exited(65), "\(dry.output)")
            #expect(dry.output.contains("queue/\(other): no-control-file"), "\(dry.output)")
            #expect(FileManager.default.fileExists(atPath: "\(folder)/queue/\(other)"))

            let (status, output) = try await Self.check(instance)
            #expect(output.contains("queue/\(other): no-control-file"), "\(output)")
            #expect(output.contains("repaired: back to router/\(other)"), "\(output)")
            // Its change is younger than an hour, whatever its date says: somebody may be copying it there.
            #expect(FileManager.default.fileExists(atPath: "\(folder)/router/88.tmp"))
            #expect(status == .exited(0), "\(output)")
            try await waitUntil("it is routed and queued", details: { instance.report }) {
                instance.spoolFiles["transport"]?.contains(other) == true
            }
            try files.removeItem(atPath: "\(folder)/router/88.tmp")
            try await waitUntil("nothing is stray any more", details: { instance.report }) {
                instance.spoolFiles["deferred"]?.isEmpty != false
            }
            let again = try await Self.check(instance)
            #expect(again.output.contains("strays: 0,"), "\(again.output)")
        }
    }

    @Test("killed with everything at work, a system has no strays behind its start")
    func killed() async throws {
        try await Instance.run(Self.settings) { instance in
            _ = try await Self.queued(instance, 5)
            for _ in 0..<3 {
                let client = try Connection.greeted(port: instance.port)
                _ = try client.transact(
                    from: "a@client.test", to: ["alice@example.test", "y@gone.test"], message: "Subject: z\r\n\r\nz\r\n"
                )
                instance.crash()
                // Without daemons what waits for their start is in order, too.
                let down = try await Self.check(instance)
                #expect(down.status == .exited(0), "\(down.output)")
                #expect(down.output.contains("router down, scheduler down"), "\(down.output)")
                try await instance.start()
            }
            try await instance.waitForMail(of: "alice", count: 3)
            let (status, output) = try await Self.check(instance)
            #expect(status == .exited(0), "\(output)")
            #expect(output.contains("strays: 0,"), "\(output)")
        }
    }

    @Test("the scheduler checks by itself, at the interval of QUEUECHECK, and says so")
    func hourly() async throws {
        try await Instance.run {
            $0.zenv["QUEUECHECK"] = "10s"
        } _: { instance in
            try await waitUntil("the check", deadline: .seconds(60), details: { instance.report }) {
                instance.supervisor?.output.contains("notice queue-checked files=") == true
            }
        }
    }

    @Test("every program tells its metrics, as one text and by HTTP")
    func metrics() async throws {
        let port = 42_000 + Int(getpid() % 10_000)
        try await Instance.run {
            Self.settings(&$0)
            $0.zenv["METRICS"] = "127.0.0.1:\(port)"
        } _: { instance in
            _ = try await Self.queued(instance, 2)
            let client = try Connection.greeted(port: instance.port)
            _ = try client.transact(
                from: "a@client.test", to: ["alice@example.test"], message: "Subject: x\r\n\r\nx\r\n")
            _ = try client.command("MAIL FROM:<a@client.test>")
            _ = try client.command("RCPT TO:<b@elsewhere.test>")
            try await instance.waitForMail(of: "alice", count: 1)
            var output = ""
            let counted = "zmailer_delivery_results_total{channel=\"local\",outcome=\"delivered\"} 1\n"
            for _ in 0..<100 where !output.contains(counted) {
                let told = try await instance.run(Programs.zmailer, ["metrics", "-Z", instance.configuration])
                #expect(told.status == .exited(0))
                output = told.output
            }
            #expect(output.contains(counted), "\(output)")
            for line in [
                "zmailer_up{program=\"router\"} 1", "zmailer_up{program=\"scheduler\"} 1",
                "zmailer_up{program=\"smtpserver\"} 1", "zmailer_up{program=\"policy\"} 1",
                "zmailer_policy_decisions_total{verdict=\"refuse\"} 1",
                "zmailer_smtp_messages_total{outcome=\"accepted\"} 3",
                "zmailer_smtp_refused_commands_total{command=\"rcpt\"} 1",
                "zmailer_router_messages_total{outcome=\"routed\"} 3",
                "# TYPE zmailer_delivery_queue_seconds histogram",
            ] {
                #expect(output.contains("\(line)\n"), "\(line)\n\(output)")
            }
            let http = try await instance.run(
                "/usr/bin/env",
                [
                    "python3", "-c",
                    "import urllib.request,sys; r=urllib.request.urlopen('http://127.0.0.1:\(port)/metrics'); "
                        + "print(r.headers['Content-Type']); sys.stdout.write(r.read().decode())",
                ])
            #expect(http.status == .exited(0), "\(http.output)")
            #expect(http.output.hasPrefix("text/plain; version=0.0.4"), "\(http.output)")
            #expect(http.output.contains("zmailer_up{program=\"scheduler\"} 1\n"))
        }
    }

    @Test("while too much waits for the router mail is refused for now, and taken again later")
    func throttle() async throws {
        try await Instance.run {
            $0.smtpserverParameters = ["queue-limit 3", "throttle-delay 1"]
        } _: { instance in
            // Names that the router does not take, and the count does not tell apart.
            let names = (0..<5).map { "\(instance.postoffice)/router/waiting-\($0)" }
            for name in names { #expect(FileManager.default.createFile(atPath: name, contents: nil)) }
            try await waitUntil("mail is refused", details: { instance.report }) {
                let client = try Connection.greeted(port: instance.port)
                return try client.command("MAIL FROM:<a@client.test>").code == 452
            }
            #expect(instance.supervisor?.output.contains("throttle intake=closed cause=waiting") == true)
            for name in names { try FileManager.default.removeItem(atPath: name) }
            try await waitUntil("mail is taken", details: { instance.report }) {
                let client = try Connection.greeted(port: instance.port)
                return try client.command("MAIL FROM:<a@client.test>").code == 250
            }
        }
    }
}
