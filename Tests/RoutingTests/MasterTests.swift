import ChildProcesses
import Glibc
import Postoffice
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
        init(_ instance: RouterInstance, _ worker: String) {
            self.instance = instance
            self.worker = worker
        }

        func run() {
            let signals = SignalSource([SIGUSR1])
            do {
                let master = try Master(
                    postoffice: instance.postoffice, configuration: instance.configuration, workers: 1,
                    signals: signals, log: instance.log
                ) { role in
                    let script = role == "worker" ? worker : "exec cat > /dev/null"
                    return ChildRequest(
                        path: "/bin/sh", arguments: ["-c", script], environment: ["PATH=/usr/bin:/bin"])
                }
                master.run()
            } catch {
                Issue.record("\(error)")
            }
        }
    }

    init(_ instance: RouterInstance, worker: String) {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(Start(instance, worker))
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

    @Test(
        "what has been frozen too long goes as it is to go, while other mail is routed, and a release that died is completed"
    )
    func freezer() throws {
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
        try #require(
            rename(
                instance.postoffice.path(.router, staged), instance.postoffice.path(.router, staged) + ".released") == 0
        )
        let accepted = try instance.accept()
        let worker = """
            while read id; do
                rm -f \(instance.postoffice.root)/router/$id
                echo "done $id" >&0
            done
            """
        let master = RunningMaster(instance, worker: worker)
        wait("routing") {
            instance.names(.router).isEmpty && instance.names(.freezer) == ["\(young)", "\(young).reason"]
        }
        master.stop()
        #expect(instance.places(accepted).isEmpty && instance.places(old).isEmpty)
        #expect(instance.logText.contains("notice freezer-released queue-id=\(old) by=FREEZERMAXAGE=1h from="))
        #expect(instance.logText.contains("notice freezer-released queue-id=\(staged) "))
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
