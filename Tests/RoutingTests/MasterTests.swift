import ChildProcesses
import Glibc
import Postoffice
import ProgramKit
import SpoolFormat
import Testing

@testable import Router

/// A master in a thread of its own, whose children are shell scripts. SIGUSR1 to that thread ends it.
private final class RunningMaster {
    private let thread: pthread_t

    /// Sound as `@unchecked Sendable`: handed to the thread once and not touched by the creator afterwards.
    private final class Start: @unchecked Sendable {
        let instance: RouterInstance
        let worker: String
        let freezer: String
        init(_ instance: RouterInstance, _ worker: String, _ freezer: String) {
            self.instance = instance
            self.worker = worker
            self.freezer = freezer
        }

        func run() {
            let signals = SignalSource([SIGUSR1])
            do {
                let master = try Master(
                    postoffice: instance.postoffice, configuration: instance.configuration, workers: 1,
                    signals: signals, log: instance.log
                ) { role in
                    let script = ["worker": worker, "freezer": freezer][role] ?? "exec cat > /dev/null"
                    return ChildRequest(
                        path: "/bin/sh", arguments: ["-c", script], environment: ["PATH=/usr/bin:/bin"])
                }
                master.run()
            } catch {
                Issue.record("\(error)")
            }
        }
    }

    init(_ instance: RouterInstance, worker: String, freezer: String = "exit 0") {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(Start(instance, worker, freezer))
        let code = pthread_create(
            &thread, nil,
            { raw in
                if let raw { Unmanaged<Start>.fromOpaque(raw).takeRetainedValue().run() }
                return nil
            }, context.toOpaque())
        #expect(code == 0)
        self.thread = thread
    }

    func stop() {
        pthread_kill(thread, SIGUSR1)
        pthread_join(thread, nil)
    }
}

@Suite("Router: the master and its workers")
struct MasterTests {
    private func wait(_ what: String, _ condition: () -> Bool) {
        let deadline = SteadyClock.milliseconds + 20_000
        while !condition() {
            guard SteadyClock.milliseconds < deadline else {
                Issue.record("\(what) did not happen")
                return
            }
            usleep(10_000)
        }
    }

    @Test("a message on which workers die goes to postman/, the postmaster is told, the others are routed")
    func poison() throws {
        let instance = try RouterInstance()
        var ids: [SpoolID] = []
        for _ in 0..<5 { ids.append(try instance.accept()) }
        let bad = ids[2]
        let done = "\(instance.root)/var/db/worker"
        let worker = """
            echo '#hungry' >&0
            while read id; do
                case $id in \(bad)) kill -9 $$;; esac
                echo $id >> \(done)
                rm -f \(instance.postoffice.root)/router/$id
                echo "done $id" >&0
            done
            """
        let master = RunningMaster(instance, worker: worker)
        defer { master.stop() }
        wait("poison") { instance.names(.postman) == ["\(bad):poison"] }
        wait("the others") { instance.names(.router).isEmpty }
        #expect(instance.places(bad) == ["postman"])
        #expect(instance.logText.contains("error poison queue-id=\(bad)"))
    }

    @Test("the report about poison is a message file to the postmaster from nobody")
    func report() throws {
        let instance = try RouterInstance(users: "postmaster\n")
        let own = instance.postoffice.newID()
        let octets = PoisonReport.message(
            about: SpoolID(rawValue: 7), as: own, hostName: "mail.example.test", time: 1_795_237_801)
        try instance.postoffice.submit(own, [octets])
        #expect(instance.worker().process(own) == .done)
        let control = try instance.control(own)
        #expect(control.isErrorMessage)
        #expect(control.groups.first?.errorsTo == nil)
        #expect(control.groups.first?.recipients.map(\.quad.user) == ["postmaster"])
        #expect(control.traits.size == octets.count - control.headerStart)
        #expect(String(decoding: octets, as: UTF8.self).contains("postman/7:poison\r\n"))
    }

    @Test("messages are found by notice and by scan, and deferred ones come back after a restart")
    func finding() throws {
        let instance = try RouterInstance()
        let scanned = try instance.accept()
        let deferred = try instance.accept()
        try instance.postoffice.move(deferred, from: .router, to: .deferred)
        let worker = """
            while read id; do
                rm -f \(instance.postoffice.root)/router/$id
                echo "done $id" >&0
            done
            """
        let master = RunningMaster(instance, worker: worker)
        defer { master.stop() }
        wait("scan and deferred") { instance.places(scanned).isEmpty && instance.places(deferred).isEmpty }
        let noticed = try instance.accept()
        NoticeSender(socketPath: "\(instance.postoffice.root)/.router.notify", directory: "router").send(noticed)
        wait("notice") { instance.places(noticed).isEmpty }
    }

    @Test("the freezer is looked after once at the start, on SIGHUP and again in time, not again because it was done")
    func freezer() throws {
        let instance = try RouterInstance(settings: ["FREEZERMAXAGE": "1s"])
        let runs = "\(instance.root)/var/db/list"
        let master = RunningMaster(instance, worker: "exec cat > /dev/null", freezer: "echo run >> \(runs); exit 3")
        func count() -> Int { (try? FileOctets.read(runs, limit: 4096).count { $0 == 0x0a }) ?? 0 }
        wait("the second look") { count() >= 2 }
        master.stop()
        #expect(instance.logText.contains("warning child-ended child=freezer "))
        unlink(runs)
        let calm = try RouterInstance()
        let id = try calm.accept()
        let quiet = RunningMaster(
            calm, worker: "while read id; do rm -f \(calm.postoffice.root)/router/$id; echo \"done $id\" >&0; done",
            freezer: "echo run >> \(calm.root)/var/db/list")
        defer { quiet.stop() }
        wait("routing") { calm.places(id).isEmpty }
        wait("the look") { access("\(calm.root)/var/db/list", F_OK) == 0 }
        #expect(!calm.logText.contains("child=freezer"))
    }

    @Test("the freezer's keeper takes out what is too old and completes what died, and leaves the rest when it is told")
    func freezerKeeper() throws {
        let instance = try RouterInstance(settings: ["FREEZERMAXAGE": "1h", "FREEZERAGED": "release"])
        let now = Int64(time(nil))
        func freeze(age: Int64) throws -> SpoolID {
            let id = SpoolID(rawValue: instance.postoffice.newID().rawValue - UInt64(age * 1000) << 22)
            try instance.postoffice.submit(
                id, [Array("channel error\nenv-end\n".utf8)],
                to: .freezer(FreezeNote(code: 1, time: now - age, reason: "test")))
            return id
        }
        let old = try freeze(age: 7200)
        let young = try freeze(age: 60)
        let staged = try instance.accept()
        let name = instance.postoffice.path(.router, staged)
        try #require(rename(name, name + ".released") == 0)
        let keeper = FreezerKeeper(instance.postoffice, instance.configuration, instance.log)
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        defer { close(ends[0]) }
        keeper.run(now: now, signals: SignalSource([SIGUSR2]), input: ends[0])
        #expect(instance.names(.router) == ["\(old)", "\(staged)"].sorted())
        #expect(instance.names(.freezer) == ["\(young)", "\(young).reason"])
        #expect(instance.logText.contains("notice freezer-released queue-id=\(old) by=FREEZERMAXAGE=1h from="))
        #expect(instance.logText.contains("notice freezer-released queue-id=\(staged) "))
        close(ends[1])
        keeper.run(now: now + 7200, signals: SignalSource([SIGUSR2]), input: ends[0])
        #expect(instance.names(.freezer) == ["\(young)", "\(young).reason"])
    }

    @Test("a settled message without control file is taken back to router/ at the start")
    func orphan() throws {
        let instance = try RouterInstance()
        let id = try instance.accept()
        #expect(try instance.postoffice.claimForQueue(id) == .claimed)
        try instance.postoffice.settle([id])
        let master = RunningMaster(instance, worker: "exec cat > /dev/null")
        defer { master.stop() }
        wait("requeue") { instance.places(id) == ["queue", "router"] }
    }

    @Test("a master without work ends at once")
    func ending() throws {
        let instance = try RouterInstance()
        let master = RunningMaster(instance, worker: "while read id; do :; done")
        wait("start") { access("\(instance.postoffice.root)/.router.notify", F_OK) == 0 }
        let began = SteadyClock.milliseconds
        master.stop()
        #expect(SteadyClock.milliseconds - began < Master.stopTime)
    }
}
