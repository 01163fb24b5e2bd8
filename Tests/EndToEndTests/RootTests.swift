import Foundation
import Glibc
import Testing

/// As it is installed on a host: started by root, daemons of a user of their own, mail for real accounts.
@Suite("Started by root", .serialized, .enabled(if: TestAccounts.canBeMade))
struct RootTests {
    /// An instance in a folder that everybody may enter, with programs that the daemons' user may execute.
    static func run(
        _ change: @escaping (inout Instance.Settings, TestAccounts) -> Void = { _, _ in },
        _ body: (Instance, TestAccounts) async throws -> Void
    ) async throws {
        var template = Array("/tmp/zm-root-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try #require(chmod(folder, 0o755) == 0)
        let copy = try TestProcess(
            "/bin/cp", ["-RL", Programs.libexec, "\(Programs.layout)/bin", "\(Programs.layout)/sbin", folder],
            outputPath: "\(folder)/output")
        try #require(try await copy.waitForExit() == .exited(0), "\(copy.output)")
        let accounts = try TestAccounts(home: "\(folder)/home")
        let settings: (inout Instance.Settings) -> Void = { settings in
            settings.zenv = [
                "TRUSTEDUSER": accounts.trusted.name, "ACCOUNTS": "passwd", "MAILBOX": "maildir:%h/Maildir",
                "MAILBIN": "\(folder)/zmailer",
            ]
            settings.aliases = ["postmaster: \(accounts.alice.name)"]
            settings.prepare = { instance in
                try #require(chmod(instance.directory, 0o755) == 0)
                try #require(chown("\(instance.directory)/log", accounts.trusted.uid, accounts.trusted.gid) == 0)
            }
            change(&settings, accounts)
        }
        try await Instance.run(settings) { instance in try await body(instance, accounts) }
        withExtendedLifetime(accounts) {}
    }

    private func maildir(_ account: TestAccounts.Account) -> Maildir {
        Maildir(path: String(cString: getpwnam(account.name).pointee.pw_dir) + "/Maildir")
    }

    private func waitForMail(_ instance: Instance, _ account: TestAccounts.Account, _ count: Int) async throws {
        let maildir = maildir(account)
        try await waitUntil("\(count) messages of \(account.name)", details: { instance.report }) {
            maildir.count >= count
        }
        #expect(maildir.count == count)
    }

    @Test(
        "what root does with frozen mail is done as the daemons' user and logged with his name; a stranger may not even look"
    )
    func freezer() async throws {
        try await Self.run { settings, _ in
            let prepare = settings.prepare
            settings.usePolicy(["[127.0.0.1]/32 freezenet +"])
            let files = settings.prepare
            settings.prepare = { instance in
                try files(instance)
                try prepare(instance)
            }
        } _: { instance, accounts in
            let sent = try await instance.swaks(to: "\(accounts.alice.name)@example.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            let id = try #require(instance.spoolFiles["freezer"]?.first)
            for name in [id, "\(id).reason"] {
                var info = stat()
                #expect(lstat("\(instance.postoffice)/freezer/\(name)", &info) == 0)
                #expect(info.st_uid == accounts.trusted.uid, "\(name)")
            }
            let bin = (instance.settings.zenv["MAILBIN"] ?? "") + "/../bin/zmailer"
            for arguments in [["list"], ["release", id]] {
                let refused = try await instance.run(
                    "/usr/bin/setpriv",
                    [
                        "--reuid=\(accounts.alice.uid)", "--regid=\(accounts.alice.gid)", "--clear-groups", bin,
                        "freezer",
                    ]
                        + arguments + ["-Z", instance.configuration])
                #expect(refused.status == .exited(77), "\(refused.output)")
            }
            let released = try await instance.zmailer("freezer", "release", id)
            #expect(released.status == .exited(0), "\(released.output)")
            try await waitForMail(instance, accounts.alice, 1)
            try await instance.waitForEmptySpool()
            var log = stat()
            #expect(stat("\(instance.directory)/log/freezer", &log) == 0 && log.st_uid == accounts.trusted.uid)
            #expect(instance.read("log/freezer").contains("freezer-released queue-id=\(id) by=root "))
        }
    }

    @Test("whoever reads from strangers is the daemons' user; mail belongs to whom it is for, and to nobody else")
    func identities() async throws {
        try await Self.run { instance, accounts in
            let alice = "\(accounts.alice.name)@example.test"
            let sent = try await instance.swaks(to: alice)
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await waitForMail(instance, accounts.alice, 1)
            // Three and a half programs: the masters that bind ports and start agents are root.
            var uids: [String: Set<uid_t>] = [:]
            for process in ProcessTable.processes(naming: instance.directory) {
                let words = process.command.split(separator: " ")
                guard let name = words.first?.split(separator: "/").last,
                    let identity = ProcessTable.identity(process.pid)
                else { continue }
                let isWorker = words.contains("--worker") || words.contains("--policy")
                uids[isWorker ? "\(name) worker" : String(name), default: []].insert(identity.uid)
            }
            for name in ["router", "router worker", "smtpserver worker"] {
                #expect(uids[name] == [accounts.trusted.uid], "\(name): \(uids)")
            }
            for name in ["scheduler", "smtpserver", "mailbox"] { #expect(uids[name] == [0], "\(name): \(uids)") }
            let home = maildir(accounts.alice).path
            for path in [home, "\(home)/new", "\(home)/cur", "\(home)/tmp"] + maildir(accounts.alice).files {
                var info = stat()
                try #require(stat(path, &info) == 0)
                #expect(info.st_uid == accounts.alice.uid && info.st_gid == accounts.alice.gid, "\(path)")
                #expect(info.st_mode & 0o077 == 0, "\(path)")
            }
            try await instance.waitForEmptySpool()
            for name in ["", "router", "queue", "transport", ".policy", ".scheduler.mailq", ".scheduler.notify"] {
                var info = stat()
                try #require(stat("\(instance.postoffice)/\(name)", &info) == 0)
                #expect(info.st_uid == accounts.trusted.uid && info.st_mode & 0o007 == 0, "\(name)")
            }
        }
    }

    @Test("a content filter has a user of its own, and what it is given is all that it can change")
    func filterUser() async throws {
        try await Self.run { settings, accounts in
            let prepare = settings.prepare
            settings.prepare = { instance in
                try prepare(instance)
                let script = """
                    #!/bin/sh
                    while echo "#hungry" && read -r path; do
                        if head -c 100 "$path" >/dev/null && ! ls queue transport freezer router 2>/dev/null && ! { echo >>"$path"; } 2>/dev/null && ! { echo >public/x; } 2>/dev/null
                        then echo "-1 550 5.7.1 seen by $(id -u)"; else echo "-1 550 5.7.1 cannot read, or can write"; fi
                    done

                    """
                try instance.install(script, as: "filter", mode: 0o755)
                try instance.append(
                    [
                        "PARAM contentfilter \(instance.directory)/var/filter",
                        "PARAM contentfilter-user \(accounts.bob.name)",
                    ], to: "share/smtpserver.conf")
            }
        } _: { instance, accounts in
            let sent = try await instance.swaks(to: "\(accounts.alice.name)@example.test")
            #expect(sent.output.contains("seen by \(accounts.bob.uid)"), "\(sent.output)\n\(instance.report)")
        }
    }

    @Test("accounts below MINUID and unknown ones are refused at RCPT, their mail never accepted")
    func refused() async throws {
        try await Self.run { instance, accounts in
            for name in ["nobody-of-that-name", accounts.low.name, "daemon"] {
                let sent = try await instance.swaks(to: "\(name)@example.test")
                #expect(sent.status == .exited(24), "\(sent.output)")
                #expect(sent.output.contains("550 5.1.1"), "\(sent.output)")
            }
            // The superuser's is the postmaster's, by the sample aliases.
            let sent = try await instance.swaks(to: "root@example.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await waitForMail(instance, accounts.alice, 1)
        }
    }

    @Test("a command of the aliases runs as the owner of that file")
    func commands() async throws {
        let change: (inout Instance.Settings, TestAccounts) -> Void = { settings, accounts in
            settings.aliases.append("pipe: |\"id -u; test -w ~; cat > ~/message\"")
            let prepare = settings.prepare
            settings.prepare = { instance in
                try prepare(instance)
                try #require(
                    chown("\(instance.directory)/var/db/aliases", accounts.bob.uid, accounts.bob.gid) == 0)
            }
        }
        try await Self.run(change) { instance, accounts in
            let sent = try await instance.swaks(to: "pipe@example.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await instance.waitForEmptySpool()
            let home = String(cString: getpwnam(accounts.bob.name).pointee.pw_dir)
            var info = stat()
            try #require(stat("\(home)/message", &info) == 0, "\(instance.report)")
            #expect(info.st_uid == accounts.bob.uid)
            let log = instance.read("zmailer.out")
            #expect(log.contains("status=delivered text=\(accounts.bob.uid)\n"), "\(log)")

        }
    }

    @Test("a command in a table of root's is not executed, and the sender hears of it")
    func commandsOfRoot() async throws {
        let change: (inout Instance.Settings, TestAccounts) -> Void = { settings, _ in
            settings.aliases.append("pipe: |\"cat > ~/message\"")
        }
        try await Self.run(change) { instance, accounts in
            let sent = try await instance.swaks(from: "\(accounts.alice.name)@example.test", to: "pipe@example.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await waitForMail(instance, accounts.alice, 1)
            let report = try #require(maildir(accounts.alice).texts.first)
            #expect(report.contains("Status: 5.2.1") && report.contains("Action: failed"), "\(report)")
        }
    }

    @Test("a link in a Maildir leads nowhere where its owner could not write")
    func links() async throws {
        try await Self.run { instance, accounts in
            let first = try await instance.swaks(to: "\(accounts.alice.name)@example.test")
            #expect(first.status == .exited(0), "\(first.output)")
            try await waitForMail(instance, accounts.alice, 1)
            let mine = maildir(accounts.bob).path
            for (link, target) in [("new", maildir(accounts.alice).path + "/new"), ("tmp", "/tmp")] {
                try FileManager.default.createDirectory(atPath: mine, withIntermediateDirectories: true)
                try #require(symlink(target, "\(mine)/\(link)") == 0)
            }
            let sent = try await instance.swaks(to: "\(accounts.bob.name)@example.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await waitUntil("the delivery was tried", details: { instance.report }) {
                instance.read("zmailer.out").contains("to=\(accounts.bob.name) ")
            }
            #expect(instance.read("zmailer.out").contains("dsn=4.2.1 status=deferred"))
            #expect(maildir(accounts.alice).count == 1)
        }
    }

    @Test("a spool of somebody else than TRUSTEDUSER is refused at the start: its owner is who the router becomes")
    func foreignSpool() async throws {
        try await Self.run { instance, accounts in
            try await instance.stop()
            try #require(chown(instance.postoffice, 0, 0) == 0)
            let refused = try await instance.zmailer("start")
            #expect(refused.status == .exited(73), "\(refused.output)")
            #expect(refused.output.contains("not to TRUSTEDUSER \(accounts.trusted.name)"), "\(refused.output)")
            try #require(chown(instance.postoffice, accounts.trusted.uid, accounts.trusted.gid) == 0)
            try await instance.start()
        }
    }

    @Test("other users are told that the queue and the programs are none of their business")
    func strangers() async throws {
        try await Self.run { instance, accounts in
            let bin = try #require(instance.supervisor).pid
            let copied = "\(instance.settings.zenv["MAILBIN"] ?? "")/../bin"
            let commands = [
                ["mailq"], ["zmailer", "status"], ["zmailer", "stop"], ["zmailer", "reload"], ["zmailer", "start"],
            ]
            for command in commands {
                let result = try await instance.run(
                    "/usr/bin/setpriv",
                    ["--reuid", accounts.alice.name, "--regid", accounts.alice.name, "--clear-groups"]
                        + ["\(copied)/\(command[0])"] + command.dropFirst() + ["-Z", instance.configuration])
                #expect(result.status == .exited(77), "\(command): \(result.output)")
                #expect(result.output.contains("only root and the mail system's own user"), "\(result.output)")
            }
            #expect(kill(bin, 0) == 0)
            let own = try await instance.run(
                "/usr/bin/setpriv",
                ["--reuid", accounts.trusted.name, "--regid", accounts.trusted.name, "--clear-groups"]
                    + ["\(copied)/mailq", "-Z", instance.configuration])
            #expect(own.status == .exited(0), "\(own.output)")
        }
    }

    @Test("rotated logs are opened again by every process, and belong to the owner of their folder")
    func rotation() async throws {
        try await Self.run { instance, accounts in
            try await instance.stop()
            let start = try await instance.zmailer("start")
            #expect(start.status == .exited(0), "\(start.output)")
            let log = "\(instance.directory)/log"
            let names = ["zmailer", "router", "scheduler", "smtpserver"]
            for name in names { try #require(rename("\(log)/\(name)", "\(log)/\(name).1") == 0) }
            #expect(try await instance.zmailer("reload").status == .exited(0))
            try await waitUntil("nobody holds an old log", details: { instance.report }) {
                let open = ProcessTable.processes(naming: instance.directory).flatMap { Self.openFiles($0.pid) }
                return !open.contains { $0.hasPrefix(log) && $0.hasSuffix(".1") }
            }
            let sent = try await instance.swaks(to: "\(accounts.alice.name)@example.test")
            #expect(sent.status == .exited(0), "\(sent.output)")
            try await waitForMail(instance, accounts.alice, 1)
            try await waitUntil("the delivery is logged") {
                instance.read("log/scheduler").contains("status=delivered")
            }
            #expect(instance.read("log/smtpserver").contains(" accepted "))
            #expect(instance.read("log/router").contains(" routed "))
            for name in names {
                var info = stat()
                try #require(stat("\(log)/\(name)", &info) == 0)
                #expect(info.st_uid == accounts.trusted.uid && info.st_mode & 0o777 == 0o640, "\(name)")
            }
            // Started again over itself: what is told is the new one.
            let again = try await instance.zmailer("start")
            #expect(again.status == .exited(0), "\(again.output)")
            for name in names.dropFirst() {
                let pid = instance.read("postoffice/.pid.\(name)").trimmingCharacters(in: .whitespacesAndNewlines)
                #expect(again.output.contains("pid \(pid)"), "\(name): \(again.output)")
            }
            #expect(try await instance.zmailer("stop").status == .exited(0))
        }
    }

    private static func openFiles(_ pid: pid_t) -> [String] {
        let folder = "/proc/\(pid)/fd"
        let numbers = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return numbers.compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\($0)") }
    }

    @Test("a session on standard input that root starts puts its mail into the spool as the daemons' user")
    func interactive() async throws {
        try await Self.run { instance, accounts in
            let dialogue = """
                EHLO here\r\nMAIL FROM:<>\r\nRCPT TO:<\(accounts.alice.name)@example.test>\r\nDATA\r
                Subject: x\r\n\r\n.\r\nQUIT\r\n
                """
            try instance.write(dialogue, to: "dialogue")
            let result = try await instance.run(
                "\(instance.settings.zenv["MAILBIN"] ?? "")/smtpserver", ["-i", "-Z", instance.configuration],
                input: "\(instance.directory)/dialogue")
            #expect(result.status == .exited(0), "\(result.output)")
            try await waitForMail(instance, accounts.alice, 1)
        }
    }
}
