import Foundation
import Glibc
import Testing

/// `zmailer` and `mailq` as an operator uses them.
@Suite("Control of an instance")
struct ControlTests {
    @Test("a daemon that dies is started again, and mail goes on")
    func restarted() async throws {
        try await Instance.run { instance in
            for program in ["router", "scheduler", "smtpserver"] {
                let before = Set(instance.pids(of: program))
                #expect(!before.isEmpty)
                for pid in before { kill(pid, SIGKILL) }
                try await waitUntil("\(program) is up again", details: { instance.report }) {
                    let now = Set(instance.pids(of: program))
                    return !now.isEmpty && now.isDisjoint(with: before)
                }
            }
            try await waitUntil("everything is up", details: { instance.report }) { isListening(instance.port) }
            let log = instance.read("zmailer.out")
            for program in ["router", "scheduler", "smtpserver"] {
                #expect(log.contains("error died program=\(program)"))
            }
            let sent = try await instance.swaks(to: "alice@example.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await instance.waitForMail(of: "alice", count: 1)
        }
    }

    @Test("the scheduler takes ZMailer's signals: state, configuration, a clean end")
    func schedulerSignals() async throws {
        try await Instance.run { instance in
            func signal(_ number: Int32) throws {
                let pids = instance.pids(of: "scheduler")
                kill(try #require(pids.first), number)
            }
            try signal(SIGUSR2)
            try await instance.waitForEvent("state", "messages=0")
            let configuration = instance.read("share/scheduler.conf")
            try instance.write("*/*\n    interval=soon\n", to: "share/scheduler.conf")
            try signal(SIGUSR1)
            try await instance.waitForEvent("reload-refused", "soon")
            try instance.write(configuration, to: "share/scheduler.conf")
            try signal(SIGUSR1)
            try await instance.waitForEvent("reloaded", "scheduler.conf")
            try signal(SIGALRM)
            let before = instance.pids(of: "scheduler")
            try signal(SIGQUIT)
            try await instance.waitForEvent("stopping", "signal 3")
            try await waitUntil("it is up again", details: { instance.report }) {
                let now = instance.pids(of: "scheduler")
                return !now.isEmpty && now != before
            }
            #expect(try await instance.swaks(to: "alice@example.test").status == .exited(0))
            try await instance.waitForMail(of: "alice", count: 1)
        }
    }

    @Test("start returns when everything is up; status, reload and stop say what is")
    func detached() async throws {
        try await Instance.run { instance in
            try await instance.stop()
            #expect(try await instance.zmailer("status").status == .exited(69))
            let start = try await instance.zmailer("start")
            #expect(start.status == .exited(0), "\(start.output)")
            #expect(start.output.contains("listens on 127.0.0.1:\(instance.port)"))
            #expect(isListening(instance.port))
            let status = try await instance.zmailer("status", "--json")
            #expect(status.status == .exited(0), "\(status.output)")
            #expect(status.output.contains("\"addresses\":[\"127.0.0.1:\(instance.port)\"]"))
            #expect(try await instance.zmailer("reload").status == .exited(0))
            let sent = try await instance.swaks(to: "alice@example.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await instance.waitForMail(of: "alice", count: 1)
            #expect(try await instance.zmailer("stop").status == .exited(0))
            #expect(!isListening(instance.port))
            // It gives up its pid file before its last instruction.
            try await waitUntil("the supervisor has ended") { instance.pids(of: "zmailer").isEmpty }
        }
    }

    @Test("a second start takes over from the first, which ends as if it had been stopped")
    func takesOver() async throws {
        try await Instance.run { instance in
            let first = try #require(instance.supervisor)
            try await instance.start()
            #expect(try await first.waitForExit() == .exited(0))
            let sent = try await instance.swaks(to: "bob@example.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await instance.waitForMail(of: "bob", count: 1)
        }
    }

    @Test("a supervisor that is killed takes nothing with it, and the next start takes over what runs")
    func supervisorKilled() async throws {
        try await Instance.run { instance in
            let first = try #require(instance.supervisor)
            kill(first.pid, SIGKILL)
            try await first.waitForExit()
            let sent = try await instance.swaks(to: "bob@example.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await instance.waitForMail(of: "bob", count: 1)
            try await instance.start()
            let status = try await instance.zmailer("status")
            #expect(status.status == .exited(0), "\(status.output)")
        }
    }

    @Test("all mistakes of all files are told at once, nothing starts, and what runs goes on")
    func badConfiguration() async throws {
        try await Instance.run { instance in
            let server = instance.read("share/smtpserver.conf")
            let scheduler = instance.read("share/scheduler.conf")
            try instance.write("PARAM maxsize many\nPARAM nonsense 1\n" + server, to: "share/smtpserver.conf")
            try instance.write("local/*\n    interval=soon\n" + scheduler, to: "share/scheduler.conf")
            for command in ["check", "start", "reload"] {
                let result = try await instance.zmailer(command)
                #expect(result.status == .exited(78), "\(command)")
                for place in ["smtpserver.conf:1", "smtpserver.conf:2", "scheduler.conf:2"] {
                    #expect(result.output.contains(place), "\(command): \(result.output)")
                }
            }
            #expect(isListening(instance.port))
            try instance.write(server, to: "share/smtpserver.conf")
            try instance.write(scheduler, to: "share/scheduler.conf")
            #expect(try await instance.zmailer("check").status == .exited(0))
        }
    }

    @Test(
        "a bad command line gets the usage and exit code 64",
        arguments: [["start", "--bogus"], ["dance"], ["init"], ["init", "--port", "0", "/tmp/zm-never"]])
    func badCommandLine(arguments: [String]) async throws {
        let output = "\(NSTemporaryDirectory())/zm-usage-\(UUID().uuidString)"
        defer { unlink(output) }
        let process = try TestProcess(Programs.zmailer, arguments, outputPath: output)
        #expect(try await process.waitForExit() == .exited(64), "\(process.output)")
        #expect(process.output.contains("Usage: zmailer"))
    }

    @Test("mailq shows what waits, for whom, and why; flush tries it now")
    func queue() async throws {
        let port = try FreePorts.take()
        let change: (inout Instance.Settings) -> Void = { settings in
            settings.relayDomains = ["remote.test"]
            settings.routes = ["remote.test smtpx![127.0.0.1]:\(port)"]
            settings.retryInterval = "1h"
        }
        try await Instance.run(change) { instance in
            let sent = try await instance.swaks(from: "a@client.test", to: "b@remote.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            var listing = ""
            for _ in 0..<200 {
                listing = try await instance.run(Programs.mailq, ["-Z", instance.configuration]).output
                if listing.contains("attempts 1") { break }
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(listing.contains("<a@client.test>"), "\(listing)")
            #expect(listing.contains("<b@remote.test> smtpx/[127.0.0.1]:\(port)"), "\(listing)")
            #expect(listing.contains("Msgs: 1 Rcpnts: 1"), "\(listing)")
            let json = try await instance.zmailer("queue", "--json")
            let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any]
            #expect(object?["sender"] as? String == "a@client.test")
            let sink = try Sink(port: port)
            defer { sink.stop() }
            // The agent remembers for a part of a second that the port was closed; a person comes later, a test asks again.
            let end = ContinuousClock.now + .seconds(30)
            while sink.messageCount == 0, ContinuousClock.now < end {
                let flush = try await instance.zmailer("flush", "smtpx/*")
                #expect(flush.status == .exited(0), "\(flush.output)")
                try await Task.sleep(for: .milliseconds(250))
            }
            #expect(sink.messageCount == 1)
            try await instance.waitForEmptySpool()
        }
    }
}
