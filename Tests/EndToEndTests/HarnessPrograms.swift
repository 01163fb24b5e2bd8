import Foundation
import Glibc

/// Where the programs under test and their real peers are.
///
/// `scripts/test` sets the variables; without them the debug build beside the test binary is used, so that
/// `swift test --filter EndToEndTests` works by itself.
enum Programs {
    /// A folder as `scripts/build --layout` makes it: `libexec/zmailer/…`, `bin/…`, `share/zmailer/…`.
    static let layout: String = ProcessInfo.processInfo.environment["ZMAILER_TEST_LAYOUT"] ?? debugLayout
    static var zmailer: String { "\(layout)/bin/zmailer" }
    static var mailq: String { "\(layout)/bin/mailq" }
    static var sendmail: String { "\(layout)/sbin/sendmail" }
    static var libexec: String { "\(layout)/libexec/zmailer" }

    static let swaks = peer("ZMAILER_TEST_SWAKS", default: "/usr/bin/swaks")
    static let curl = peer("ZMAILER_TEST_CURL", default: "/usr/bin/curl")
    static let msmtp = peer("ZMAILER_TEST_MSMTP", default: "/usr/bin/msmtp")
    static let exim = peer("ZMAILER_TEST_EXIM", default: cache + "/exim/usr/sbin/exim4")
    /// The folder of the shared libraries that `exim` has beside it.
    static let eximLibraries = peer(
        "ZMAILER_TEST_EXIM_LIBRARIES", default: cache + "/exim/usr/lib/x86_64-linux-gnu")
    static let openssl = peer("ZMAILER_TEST_OPENSSL", default: "/usr/bin/openssl")
    static let smtpSource = peer("ZMAILER_TEST_SMTP_SOURCE", default: cachedPostfix + "/usr/sbin/smtp-source")
    static let smtpSink = peer("ZMAILER_TEST_SMTP_SINK", default: cachedPostfix + "/usr/sbin/smtp-sink")
    /// The folder of the shared libraries of `smtpSource` and `smtpSink`.
    static let postfixLibraries = peer("ZMAILER_TEST_POSTFIX_LIBRARIES", default: cachedPostfix + "/usr/lib/postfix")

    static let nsd = peer("ZMAILER_TEST_NSD", default: cache + "/nsd/usr/sbin/nsd")
    /// The folder of the shared libraries that `nsd` has beside it.
    static let nsdLibraries = peer(
        "ZMAILER_TEST_NSD_LIBRARIES", default: cache + "/nsd/usr/lib/x86_64-linux-gnu")

    static let haproxy = peer("ZMAILER_TEST_HAPROXY", default: cache + "/haproxy/usr/sbin/haproxy")
    /// The folder of the shared libraries that `haproxy` has beside it.
    static let haproxyLibraries = peer(
        "ZMAILER_TEST_HAPROXY_LIBRARIES", default: cache + "/haproxy/usr/lib/x86_64-linux-gnu")
    static let oidentd = peer("ZMAILER_TEST_OIDENTD", default: cache + "/oidentd/usr/sbin/oidentd")
    /// The folder of the shared libraries that `oidentd` has beside it.
    static let oidentdLibraries = peer(
        "ZMAILER_TEST_OIDENTD_LIBRARIES", default: cache + "/oidentd/usr/lib/x86_64-linux-gnu")
    static let rspamd = peer("ZMAILER_TEST_RSPAMD", default: cache + "/rspamd/usr/bin/rspamd")
    /// The folders of the shared libraries that `rspamd` has beside it.
    static let rspamdLibraries = peer(
        "ZMAILER_TEST_RSPAMD_LIBRARIES",
        default: cache + "/rspamd/usr/lib/x86_64-linux-gnu:" + cache + "/rspamd/usr/lib/rspamd")
    static let clamd = peer("ZMAILER_TEST_CLAMD", default: cache + "/clamav/usr/sbin/clamd")
    static let clamdLibraries = peer(
        "ZMAILER_TEST_CLAMD_LIBRARIES", default: cache + "/clamav/usr/lib/x86_64-linux-gnu")
    static let spamd = peer("ZMAILER_TEST_SPAMD", default: cache + "/spamassassin/usr/sbin/spamd")

    static let mailx = peer("ZMAILER_TEST_MAILX", default: cache + "/mailx/usr/bin/bsd-mailx")
    static let snail = peer("ZMAILER_TEST_SNAIL", default: cache + "/s-nail/usr/bin/s-nail")
    static let mutt = peer("ZMAILER_TEST_MUTT", default: cache + "/mutt/usr/bin/mutt")
    static let vacation = peer("ZMAILER_TEST_VACATION", default: cache + "/vacation/usr/bin/vacation")
    /// The folders of the shared libraries that these four have beside them.
    static let userLibraries = peer(
        "ZMAILER_TEST_USER_LIBRARIES",
        default: ["mailx", "s-nail", "mutt", "vacation"].map { "\(cache)/\($0)/usr/lib/x86_64-linux-gnu" }
            .joined(separator: ":"))

    /// Empty or not there: its tests are skipped.
    static let opensmtpd = peer("ZMAILER_TEST_OPENSMTPD", default: cache + "/opensmtpd/usr/sbin/smtpd")
    /// Likewise; its shared libraries are in `usr/lib/dovecot` beside it.
    static let dovecot = peer("ZMAILER_TEST_DOVECOT", default: cache + "/dovecot/usr/sbin/dovecot")

    private static func peer(_ variable: String, default path: String) -> String {
        ProcessInfo.processInfo.environment[variable] ?? path
    }

    private static var cachedPostfix: String { cache + "/postfix" }

    private static var cache: String {
        let environment = ProcessInfo.processInfo.environment
        let cache = environment["XDG_CACHE_HOME"] ?? (environment["HOME"] ?? "/root") + "/.cache"
        return cache + "/zmailer-peers"
    }

    /// The folder of the debug build, where the test bundle is.
    static let debugBuild = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().path

    /// Links to the programs of the debug build, laid out as an instance expects them.
    static let debugLayout: String = {
        let build = debugBuild
        let layout = "\(build)/layout"
        let agents = ["smtp", "mailbox", "errormail", "sm", "hold", "expirer", "reroute"]
        for folder in ["libexec/zmailer/ta", "bin", "sbin", "share"] { mkdirs("\(layout)/\(folder)") }
        for program in ["smtpserver", "router", "scheduler", "makedb", "filter-milter"] {
            symlink("\(build)/\(program)", "\(layout)/libexec/zmailer/\(program)")
        }
        for agent in agents { symlink("\(build)/ta-\(agent)", "\(layout)/libexec/zmailer/ta/\(agent)") }
        symlink("\(sources)/scripts/contentfilters", "\(layout)/libexec/zmailer/contentfilters")
        symlink("\(sources)/scripts/policy-builder.sh", "\(layout)/libexec/zmailer/policy-builder.sh")
        for program in ["zmailer", "mailq", "vacation"] {
            symlink("\(build)/\(program)", "\(layout)/bin/\(program)")
        }
        symlink("\(build)/sendmail", "\(layout)/sbin/sendmail")
        symlink("\(build)/sendmail", "\(layout)/bin/newaliases")
        symlink(sources, "\(layout)/share/zmailer")
        return layout
    }()

    /// The root of the repository, which has `proto` and `db`.
    static let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    private static func mkdirs(_ path: String) {
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
}
