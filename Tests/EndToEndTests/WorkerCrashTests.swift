import Foundation
import Glibc
import Testing

/// A crash of the process that has the sessions: others do not notice, and the log says at what it was.
@Suite("Crashes of a worker")
struct WorkerCrashTests {
    private static let message = "From: <a@client.test>\r\nSubject: x\r\n\r\ntext\r\n"

    /// The pids of what must not be touched by it.
    private static func others(_ instance: Instance) -> [[pid_t]] {
        [
            instance.pids(of: "router").sorted(), instance.pids(of: "scheduler").sorted(),
            instance.master.map { [$0] } ?? [],
        ]
    }

    /// The runtime of debug builds catches SIGSEGV to tell of crashes, and does not end by one that none of its own instructions
    /// caused.
    private static let deadlySignal = Programs.layout == Programs.debugLayout ? SIGKILL : SIGSEGV

    private static func crash(_ worker: pid_t, _ instance: Instance) async throws {
        kill(worker, deadlySignal)
        try await waitUntil("the worker is dead", details: { instance.report }) {
            !instance.workers.contains(worker)
        }
    }

    /// A client that came while there was no worker, and one that comes after it, are served.
    private static func expectServed(_ waiting: Connection, _ instance: Instance, count: Int) async throws {
        #expect(try waiting.readReply().code == 220)
        let fresh = try Connection(port: instance.port)
        #expect(try fresh.readReply().code == 220)
        for client in [waiting, fresh] {
            #expect(try client.command("EHLO client.test").code == 250)
            let reply = try client.transact(from: "a@client.test", to: ["alice@example.test"], message: message)
            #expect(reply.code == 250, "\(reply)")
        }
        try await instance.waitForMail(of: "alice", count: count)
    }

    @Test("SIGSEGV in the middle of sessions: the master goes on at once, and nobody is turned away")
    func segmentationFault() async throws {
        try await Instance.run { instance in
            let others = Self.others(instance)
            let master = try #require(instance.master)
            for round in 1...2 {
                let worker = try #require(instance.workers.first)
                let session = try Connection.greeted(port: instance.port)
                #expect(try session.command("MAIL FROM:<round\(round)@client.test>").code == 250)
                #expect(try session.command("RCPT TO:<bob@example.test>").code == 250)
                // Stopped, the master cannot start another meanwhile; the socket is open all the same.
                kill(master, SIGSTOP)
                defer { kill(master, SIGCONT) }
                try await Self.crash(worker, instance)
                let waiting = try Connection(port: instance.port)
                #expect(try session.remainder() == [])
                kill(master, SIGCONT)
                try await Self.expectServed(waiting, instance, count: 2 * round)
                try await instance.waitForEvent("worker-died", "pid=\(worker) ", "signal")
                try await instance.waitForEvent(
                    "worker-last-command", "pid=\(worker) ", "client=[127.0.0.1]",
                    "command=\"RCPT TO:<bob@example.test>\"")
                #expect(instance.workers.count == 1 && instance.workers != [worker])
            }
            #expect(Self.others(instance) == others)
        }
    }

    @Test("a password is not what a session said last", arguments: ["PLAIN", "LOGIN"])
    func passwords(mechanism: String) async throws {
        let checker = "#!/bin/sh\nIFS= read -r password\necho > \"$0.asked\"\nexec sleep 600\n"
        try await Instance.run { settings in
            settings.smtpserverParameters += [
                "smtp-auth", "SMTP-auth-pipe $MAILVAR/check-password", "AUTH-LOGIN-also-without-TLS",
            ]
            settings.prepareAlso { try $0.install(checker, as: "check-password", mode: 0o755) }
        } _: { instance in
            let client = try Connection.greeted(port: instance.port)
            let login = AuthenticationTests.login
            if mechanism == "PLAIN" {
                try client.send("AUTH PLAIN \(AuthenticationTests.plain(login))\r\n")
            } else {
                #expect(try client.command("AUTH LOGIN").code == 334)
                #expect(try client.command(Data(login.user.utf8).base64EncodedString()).code == 334)
                try client.send(Data(login.password.utf8).base64EncodedString() + "\r\n")
            }
            try await waitUntil("the password is with the program", details: { instance.report }) {
                !instance.read("var/check-password.asked").isEmpty
            }
            let worker = try #require(instance.workers.first)
            try await Self.crash(worker, instance)
            try await instance.waitForEvent("worker-last-command", "command=\"AUTH ...\"")
            let next = try Connection.greeted(port: instance.port)
            #expect(try next.command("NOOP").code == 250)
            instance.expectNowhere(login.password)
        }
    }

    // MARK: the verb of debug builds

    static let debugServer = "\(Programs.debugBuild)/smtpserver"
    static let hasDebugServer = access(debugServer, X_OK) == 0

    /// `debugServer` in the place of the layout's.
    private static func useDebugServer(_ instance: Instance) throws {
        let folder = "\(instance.directory)/programs"
        let files = FileManager.default
        try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for name in try files.contentsOfDirectory(atPath: Programs.libexec) {
            let target = name == "smtpserver" ? debugServer : "\(Programs.libexec)/\(name)"
            try files.createSymbolicLink(atPath: "\(folder)/\(name)", withDestinationPath: target)
        }
        try instance.append(["MAILBIN='\(folder)'"], to: "zmailer.conf")
    }

    @Test(
        "a trap at a command: the command is named, and the server goes on",
        .enabled(if: hasDebugServer, "needs the debug build of smtpserver"))
    func trap() async throws {
        try await Instance.run { settings in
            settings.smtpserverParameters.append("DEBUGcmd")
            settings.prepareAlso(Self.useDebugServer)
        } _: { instance in
            let others = Self.others(instance)
            for round in 1...2 {
                let worker = try #require(instance.workers.first)
                let client = try Connection.greeted(port: instance.port)
                #expect(try client.command("VERB").code == 250)
                try client.send("Z-CRASH\r\n")
                #expect(try client.remainder() == [])
                let waiting = try Connection(port: instance.port)
                try await Self.expectServed(waiting, instance, count: 2 * round)
                try await instance.waitForEvent("worker-died", "pid=\(worker) ", "signal")
                try await instance.waitForEvent("worker-last-command", "pid=\(worker) ", "command=Z-CRASH")
            }
            #expect(Self.others(instance) == others)
        }
    }

    @Test(
        "without DEBUGcmd, and in a release, Z-CRASH is an unknown command",
        arguments: Programs.layout == Programs.debugLayout ? [false] : [false, true])
    func releaseHasNone(isDebugOn: Bool) async throws {
        try await Instance.run { settings in
            if isDebugOn { settings.smtpserverParameters.append("DEBUGcmd") }
        } _: { instance in
            let workers = instance.workers
            let client = try Connection.greeted(port: instance.port)
            _ = try client.command("VERB")
            for command in ["Z-CRASH", "z-crash now"] {
                let reply = try client.command(command)
                #expect(reply.code == 500 || reply.code == 550, "\(command): \(reply)")
            }
            #expect(instance.workers == workers)
        }
    }
}
