import Configuration
import ProgramKit
import SpoolFormat
import Testing

@testable import MailboxAgent

@Suite("What the mailbox agent is told")
struct MailboxSettingsTests {
    private func settings(
        _ zenv: [String: String], isRoot: Bool = false, _ options: MailboxOptions = MailboxOptions()
    ) throws -> MailboxSettings {
        try MailboxSettings(ZEnvironment(values: zenv), options, hostName: "h", isRoot: isRoot)
    }

    @Test("options that are not done are taken, and known for the log")
    func refused() throws {
        let parsed = try CommandLineOptions.parse(["mailbox", "-S", "-R", "-b"], MailboxOptions.specs)
        #expect(try MailboxOptions(parsed).refused.keys.sorted() == ["R", "S"])
        #expect(MailboxOptions().refused.isEmpty)
    }

    @Test("without any word: accounts of the system, Maildir in the home, uids from 100")
    func defaults() throws {
        let settings = try settings([:], isRoot: true)
        guard case .system = settings.accounts else { return #expect(Bool(false), "not the system's accounts") }
        #expect(settings.store == .maildir(try PathTemplate("%h/Maildir")))
        #expect(settings.locks == .standard && settings.minimumUID == 100)
        #expect(settings.changesIdentity)
    }

    @Test("identities change only as root with the accounts of the system")
    func identity() throws {
        let file = ["ACCOUNTS": "file:/x/users", "MAILBOX": "maildir:/x/%u"]
        #expect(try !settings([:], isRoot: false).changesIdentity)
        #expect(try !settings(file, isRoot: true).changesIdentity)
        #expect(try settings(["ACCOUNTS": "passwd"], isRoot: true).changesIdentity)
    }

    @Test(
        "each wrong value is named with what would be valid",
        arguments: [
            (["ACCOUNTS": "ldap"], "ACCOUNTS='ldap': valid are passwd and file:"),
            (["ACCOUNTS": "file:users", "MAILBOX": "maildir:/m/%u"], "ACCOUNTS='file:users'"),
            (["MAILBOX": "/var/mail/%u"], "valid are maildir:PATH and mbox:PATH"),
            (["MAILBOX": "maildir:/var/mail"], "all users would share it"), (["MAILBOX": "mbox:/m/%%u"], "would share"),
            (["MAILBOX": "maildir:mail/%u"], "must be absolute"), (["MAILBOX": "maildir:/m/%z"], "after % comes"),
            (["MAILBOX": "maildir:/m/%u%"], "after % comes"), (["MBOXLOCKS": "X"], "MBOXLOCKS='X'"),
            (["MINUID": "-1"], "MINUID='-1'"), (["MINUID": "many"], "a number from 0"),
            (["ACCOUNTS": "file:/u", "MAILBOX": "maildir:%h/M"], "accounts of a file have no home"),
            (["ACCOUNTS": "file:/u"], "accounts of a file have no home"),
        ])
    func mistakes(zenv: [String: String], text: String) throws {
        let problems = try #require(throws: SettingsErrors.self) { try settings(zenv) }
        #expect(problems.problems.count == 1 && problems.description.contains(text), "\(problems)")
    }

    @Test("all mistakes are told at once")
    func together() throws {
        let problems = try #require(throws: SettingsErrors.self) {
            try settings(["ACCOUNTS": "x", "MAILBOX": "y", "MBOXLOCKS": "z", "MINUID": "w"])
        }
        #expect(problems.problems.count == 4)
    }

    @Test(
        "paths are made of user, home and domain",
        arguments: [
            ("/m/%u", "/m/al%h"), ("%h/Maildir", "/home/al/Maildir"), ("/m/%D/%u/", "/m/x.test/al%h/"),
            ("/%%u/%u", "/%u/al%h"),
        ])
    func templates(text: String, path: String) throws {
        #expect(try PathTemplate(text).path(.init(user: "al%h", home: "/home/al", domain: "x.test")) == path)
    }

    @Test(
        "files with user names",
        arguments: [
            ("alice\nbob\r\n", ["alice", "bob"]), ("# x\n\n  carol # her\nd/e\n..\n", ["carol"]), ("", []),
            ("x y\nz", ["x", "z"]),
        ])
    func names(text: String, names: [String]) {
        #expect(AccountFile.names(Array(text.utf8)) == Set(names))
    }

    @Test(
        "targets of recipients",
        arguments: [
            ("-", "alice", LocalTarget.user("alice", detail: nil, domain: "")),
            ("-", "alice+a+b@X.test", .user("alice", detail: "a+b", domain: "x.test")),
            ("-", "alice@../../x", .user("alice", detail: nil, domain: "")),
            ("-", "\"a\\\"b c\"@x", .user("a\"b c", detail: nil, domain: "x")),
            ("-", "+x", .user("+x", detail: nil, domain: "")),
            ("-", "|x", .user("|x", detail: nil, domain: "")), ("-", "/x", .user("/x", detail: nil, domain: "")),
            ("pipe.list", "| x y", .program("x y")), ("pipe", "|x", .program("x")), ("file.list", "/x", .file("/x")),
            ("pipe.list", "/x", .user("/x", detail: nil, domain: "")),
            ("file.list", "|x", .user("|x", detail: nil, domain: "")),
            ("pipes", "|x", .user("|x", detail: nil, domain: "")),
        ])
    func targets(host: String, user: String, target: LocalTarget) {
        #expect(LocalTarget(Quad(channel: "local", host: host, user: user, privilege: 1)) == target)
    }
}
