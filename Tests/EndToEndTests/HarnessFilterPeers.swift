import Foundation
import Glibc

/// rspamd with Debian's rules, one worker, and no name server. A message with a field `X-Test-Action` gets that action; to
/// one with `X-Test-Milter` header fields are added and removed.
final class RspamdPeer: FilterPeer {
    static let isAvailable = access(Programs.rspamd, X_OK) == 0
    static let name = "rspamd"
    let daemon: FilterDaemon

    init() throws {
        let folder = try FilterDaemon.makeFolder()
        let port = try FreePorts.take()
        let root = FilterDaemon.root(of: Programs.rspamd)
        let share = "\(root)/usr/share/rspamd"
        // All top level domains would be compiled for ten seconds.
        try "com\norg\nnet\ntest\nexample\n".write(toFile: "\(folder)/tld", atomically: false, encoding: .utf8)
        try Self.rules.write(toFile: "\(folder)/rspamd.local.lua", atomically: false, encoding: .utf8)
        let configuration = """
            lua = "\(share)/rules/rspamd.lua";
            options {
              tempdir = "\(folder)"; filters = "regexp"; url_tld = "\(folder)/tld"; allow_raw_input = true;
              cache_file = "\(folder)/symbols.cache"; hs_cache_dir = "\(folder)/";
              control_socket = "\(folder)/control mode=0600"; explicit_modules = ["settings"];
              dns { nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 1; }
              enable_test_patterns = true; max_message = 100M;
            }
            lang_detection { languages = "\(share)/languages"; }
            logging { type = "console"; level = "info"; }
            worker "normal" {
              bind_socket = ["\(folder)/socket mode=0666", "127.0.0.1:\(port)"]; count = 1; task_timeout = 60s;
            }
            actions {
              reject = 15; add_header = 12; rewrite_subject = 14; greylist = 11; subject = "*** SPAM *** %s";
              quarantine { flags = ["no_threshold"]; } discard { flags = ["no_threshold"]; }
            }
            .include "\(root)/etc/rspamd/modules.d/regexp.conf"

            """
        try configuration.write(toFile: "\(folder)/rspamd.conf", atomically: false, encoding: .utf8)
        let places = [
            "SHAREDIR": share, "RULESDIR": "\(share)/rules", "LUALIBDIR": "\(share)/lualib",
            "PLUGINSDIR": "\(share)/plugins", "CONFDIR": "\(root)/etc/rspamd", "LOCAL_CONFDIR": folder,
            "DBDIR": folder, "RUNDIR": folder, "LOGDIR": folder, "WWWDIR": folder,
        ]
        // As root it would become a user who need not be able to read where it was unpacked.
        let user = geteuid() == 0 ? ["--insecure"] : []
        daemon = FilterDaemon(
            folder: folder, port: port, program: Programs.rspamd,
            arguments: ["-f", "-c", "\(folder)/rspamd.conf"] + user
                + places.sorted { $0.key < $1.key }.map { "--var=\($0.key)=\($0.value)" },
            environment: ["LD_LIBRARY_PATH": Programs.rspamdLibraries])
    }

    private static let rules = """
        rspamd_config:register_symbol{
          name = 'TEST_WISHES', type = 'postfilter', priority = 10,
          callback = function(task)
            local wish = task:get_header('X-Test-Action')
            if wish then task:set_pre_result(wish, 'as the test\\nwants: 250 2.0.0 größe', 'test') end
            if task:get_header('X-Test-Milter') then
              local function text(value) return value and tostring(value) or '-' end
              local sender = task:get_from('smtp')
              task:set_milter_reply({
                remove_headers = { ['X-All'] = 0, ['X-Second'] = 2, ['X-Last'] = -1, ['X-None'] = -1 },
                add_headers = {
                  ['X-End'] = 'one\\r\\n two', ['X-Top'] = { value = 'größe', order = 0 }, ['X Bad\\r\\n0'] = 'x',
                  ['X-Client'] = table.concat({
                    text(task:get_from_ip()), text(task:get_helo()), text(task:get_hostname()),
                    text(task:get_user()), text(#(task:get_recipients('smtp') or {})),
                    text(sender and sender[1].addr), text(task:get_queue_id())}, ' '),
                },
              })
            end
          end,
        }

        """
}

/// spamd with Debian's rules, local tests only.
final class SpamdPeer: FilterPeer {
    static let isAvailable = access(Programs.spamd, X_OK) == 0
    static let name = "spamd"
    let daemon: FilterDaemon

    init() throws {
        let folder = try FilterDaemon.makeFolder()
        let port = try FreePorts.take()
        let unpacked = FilterDaemon.root(of: Programs.spamd)
        var root = unpacked
        var user: [String] = []
        if geteuid() == 0 {
            // It insists on giving up root, and what was unpacked may lie where only root looks.
            root = "\(folder)/programs"
            try FileManager.default.copyItem(atPath: unpacked, toPath: root)
            user = ["-u", "nobody"]
            chmod(folder, 0o777)
        }
        try FileManager.default.createDirectory(atPath: "\(folder)/site", withIntermediateDirectories: true)
        try "required_score 5\nuse_bayes 0\ndns_available no\n".write(
            toFile: "\(folder)/site/local.cf", atomically: false, encoding: .utf8)
        let plugins = ["Check", "BodyEval", "HeaderEval", "MIMEEval", "MIMEHeader", "HTMLEval"].map {
            "loadplugin Mail::SpamAssassin::Plugin::\($0)\n"
        }
        try plugins.joined().write(toFile: "\(folder)/site/init.pre", atomically: false, encoding: .utf8)
        let machine = try Self.machine(root)
        daemon = FilterDaemon(
            folder: folder, port: port, program: "/usr/bin/perl",
            arguments: [
                "-T", "-I\(root)/usr/share/perl5", "-I\(machine)", "\(root)/usr/sbin/spamd", "--local",
                "--nouser-config", "--configpath=\(root)/usr/share/spamassassin", "--siteconfigpath=\(folder)/site",
                "--listen=127.0.0.1:\(port)", "--socketpath=\(folder)/socket", "--socketmode=0666",
                "--syslog=stderr", "--max-children=2", "--min-children=1", "--min-spare=1", "--max-spare=1",
                "--helper-home-dir=\(folder)",
            ] + user, environment: ["LC_ALL": "C"])
    }

    /// Where the compiled modules are: `usr/lib/MACHINE/perl5/VERSION`.
    private static func machine(_ root: String) throws -> String {
        let library = "\(root)/usr/lib"
        for machine in try FileManager.default.contentsOfDirectory(atPath: library) {
            let folder = "\(library)/\(machine)/perl5"
            if let version = try? FileManager.default.contentsOfDirectory(atPath: folder).first {
                return "\(folder)/\(version)"
            }
        }
        throw HarnessError("no compiled modules below \(library)")
    }
}

/// clamd with one signature, that of the EICAR test file, and a limit of 32 MiB.
final class ClamdPeer: FilterPeer {
    static let isAvailable = access(Programs.clamd, X_OK) == 0
    static let name = "clamd"
    /// The test file of EICAR in its plain form.
    static let eicar = #"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"#
    let daemon: FilterDaemon

    init() throws {
        let folder = try FilterDaemon.makeFolder()
        let port = try FreePorts.take()
        try FileManager.default.createDirectory(atPath: "\(folder)/database", withIntermediateDirectories: true)
        let octets = Self.eicar.utf8.map { octet in
            (octet < 16 ? "0" : "") + String(octet, radix: 16)
        }
        try "Test.EICAR:0:*:\(octets.joined())\n".write(
            toFile: "\(folder)/database/test.ndb", atomically: false, encoding: .utf8)
        let configuration = """
            DatabaseDirectory \(folder)/database
            TemporaryDirectory \(folder)
            LocalSocket \(folder)/socket
            LocalSocketMode 666
            FixStaleSocket yes
            TCPAddr 127.0.0.1
            TCPSocket \(port)
            Foreground yes
            StreamMaxLength 32M

            """
        try configuration.write(toFile: "\(folder)/clamd.conf", atomically: false, encoding: .utf8)
        daemon = FilterDaemon(
            folder: folder, port: port, program: Programs.clamd, arguments: ["-c", "\(folder)/clamd.conf"],
            environment: ["LD_LIBRARY_PATH": Programs.clamdLibraries])
    }
}
