import CPosix
import Glibc
import SASL
import Testing

@testable import Credentials

@Suite("PAM") struct PAMVerifierTests {
    private let folder: Scratch

    init() throws { folder = try Scratch() }

    private func verdict(
        _ rules: [String], user: String = "alice", _ text: String = "sesame", from client: String? = nil
    ) throws -> CredentialVerdict {
        try folder.write("smtpauth-login", (["#%PAM-1.0"] + rules).map { "\($0)\n" }.joined())
        var settings = CredentialSettings()
        settings.pamDirectory = folder.path
        return CredentialChecker(settings: settings).verdict(on: password(user, text, from: client))
    }

    @Test(
        "the rules of the service decide; a file without account rules is enough",
        arguments: [
            (["auth required pam_permit.so"], true), (["auth required pam_deny.so"], false),
            (["auth required pam_permit.so", "account required pam_permit.so"], true),
            (["auth required pam_permit.so", "account required pam_deny.so"], false),
            (["auth required pam_permit.so", "-account required pam_deny.so"], false),
            (["auth required pam_permit.so", "ACCOUNT required pam_deny.so"], false),
            (["auth required pam_permit.so", "account optional pam_deny.so", "account required pam_permit.so"], true),
            (["auth required pam_permit.so", "# account required pam_deny.so"], true),
            (["auth required \\", "  pam_permit.so"], true),
            (["auth sufficient pam_permit.so", "auth required pam_deny.so"], true),
            (["auth required pam_succeed_if.so quiet user = alice"], true),
            (["auth required pam_succeed_if.so quiet user = bob"], false),
            (["auth optional pam_echo.so hello %u", "auth required pam_permit.so"], true),
        ])
    func decides(rules: [String], isAccepted: Bool) throws {
        let verdict = try verdict(rules)
        #expect(verdict.answer == (isAccepted ? .accepted(canonicalName: nil) : .refused), "\(verdict.detail)")
        #expect(verdict.source == .pam)
    }

    @Test("rules of an included file count as the file's own")
    func included() throws {
        try folder.write("common", "account required pam_deny.so\n")
        // Debian's @include looks into /etc/pam.d unless the path is absolute.
        let including = try verdict(["auth required pam_permit.so", "@include \(folder.path)/common"])
        #expect(including.answer == .refused)
        #expect(try verdict(["auth required pam_permit.so", "account include common"]).answer == .refused)
    }

    @Test("a module gets the password that the client gave, and where the client is")
    func conversation() throws {
        let script = try folder.script(
            "compare",
            #"[ "$PAM_USER:$PAM_RHOST:$PAM_TTY:$PAM_SERVICE:$(tr -d '\000')" = "alice:192.0.2.1:smtp:smtpauth-login:sesame" ]"#
        )
        let rules = ["auth required pam_exec.so quiet expose_authtok \(script)"]
        #expect(try verdict(rules, from: "192.0.2.1").answer == .accepted(canonicalName: nil))
        for (user, text, client) in [
            ("alice", "sesamf", "192.0.2.1"), ("bob", "sesame", "192.0.2.1"), ("alice", "sesame", "192.0.2.2"),
        ] {
            #expect(try verdict(rules, user: user, text, from: client).answer == .refused)
        }
    }

    @Test("a list of users that may not log in is obeyed")
    func list() throws {
        let list = try folder.write("denied", "bob\n")
        let rules = [
            "auth required pam_permit.so",
            "account required pam_listfile.so onerr=fail item=user sense=deny file=\(list)",
        ]
        #expect(try verdict(rules, user: "alice").answer == .accepted(canonicalName: nil))
        #expect(try verdict(rules, user: "bob").answer == .refused)
    }

    @Test("a module that is not there, or a broken service, is unavailable, whoever asks")
    func broken() throws {
        for rules in [
            ["auth required pam_no_such_module.so"], ["auth required pam_permit.so", "account required no.so"],
        ] {
            let verdict = try verdict(rules)
            #expect(verdict.answer == .unavailable(reason: verdict.detail), "\(verdict)")
            #expect(verdict.detail.hasPrefix("smtpauth-login, "))
        }
    }

    @Test("a service that there is not lets nobody in")
    func missing() throws {
        var settings = CredentialSettings()
        settings.pamDirectory = "\(folder.path)/no"
        settings.pamService = "smtpauth-login"
        let verdict = CredentialChecker(settings: settings).verdict(on: password("alice", "sesame"))
        #expect(verdict.answer == .refused || verdict.answer == .unavailable(reason: verdict.detail))
        #expect(!verdict.detail.isEmpty)
    }

    @Test("no delay of PAM is waited for: whoever talks to the client does that")
    func delay() throws {
        let start = cposix_monotonic_milliseconds()
        let rules = ["auth optional pam_faildelay.so delay=30000000", "auth required pam_deny.so"]
        #expect(try verdict(rules).answer == .refused)
        #expect(cposix_monotonic_milliseconds() - start < 8000)
    }

    @Test("the reason for the log holds neither the password nor what the module wrote")
    func reasons() throws {
        let script = try folder.script("say", #"tr -d '\000'; exit 1"#)
        let verdict = try verdict(["auth required pam_exec.so expose_authtok stdout \(script)"])
        #expect(verdict.answer == .refused)
        #expect(verdict.detail.hasPrefix("smtpauth-login, auth: ") && !verdict.detail.contains("sesame"))
    }

    @Test(
        "account rules are found in a file, whatever else stands there",
        arguments: [
            ("", false), ("auth required pam_permit.so", false), ("account required x.so", true),
            ("  account\trequired x.so", true), ("-account required x.so", true), ("@include common-account", true),
            ("#account required x.so", false), ("password required x.so\nsession required account", false),
            ("auth required \\\naccount x.so", false), ("auth required \\\n x.so\naccount required x.so", true),
            ("Account required x.so\r", true),
        ])
    func serviceFile(text: String, hasRules: Bool) {
        #expect(PAMServiceFile.hasAccountRules(Array(text.utf8)) == hasRules)
    }
}
