import ChildProcesses
import Glibc
import Policy
import Tables
import Testing

@testable import DatabaseTools

/// `policy-builder.sh` with dash and the real makedb.
@Suite("policy-builder.sh")
struct PolicyBuilderTests {
    private let scratch: Scratch

    init() throws {
        scratch = try Scratch()
        try #require(mkdir(scratch.file("bin"), 0o755) == 0)
        try #require(mkdir(scratch.file("db"), 0o755) == 0)
        try #require(symlink(try Place.program("makedb"), scratch.file("bin/makedb")) == 0)
        try configure()
    }

    private func configure(type: String = "gdbm", makedb: String = "bin") throws {
        try scratch.write(
            "MAILBIN='\(scratch.path)/\(makedb)'\nMAILVAR=\(scratch.path)\nDBTYPE=\(type)\n", to: "zmailer.conf")
    }

    private func run(_ arguments: String..., environment: [String] = []) throws -> Scratch.Ended {
        try scratch.run(
            "/bin/dash", [Place.script] + arguments + ["-Z", scratch.file("zmailer.conf")], environment: environment)
    }

    private func entries(_ name: String = "smtp-policy") throws -> [String] {
        var lines: [String] = []
        try GDBMReader(path: scratch.file("db/\(name).gdbm")).forEach { key, value in
            guard key != PolicyKey.metadata, let key = PolicyKey(octets: key) else { return }
            lines += PolicyText.lines(key, value)
        }
        return lines.sorted()
    }

    private static let tags = "_full_rights # no\n_localnames # no\n_relaytarget # no\n_bulk_mail # no\n"

    private func writeAll() throws {
        try scratch.write(Self.tags + ". relaytarget -  # default\n", to: "db/smtp-policy.src")
        try scratch.write("# ours\nExample.test  extra words # comment\n\n\t.sub.test\r\n", to: "db/localnames")
        try scratch.write("[192.0.2.1]/32 fulltrustnet + # manual\n", to: "db/smtp-policy.relay.manual")
        try scratch.write("[192.0.2.1]/32\n10.0.0.0/8 submit\n", to: "db/smtp-policy.relay")
        try scratch.write("mx.test message \"see #7\" relaytarget -\n", to: "db/smtp-policy.mx.manual")
        try scratch.write("# none\n.mx.test\npostmaster@mx.test\n", to: "db/smtp-policy.mx")
        try scratch.write("@Zzz.Test\nFoo@Bar.test # bad\n[198.51.100.0]/24\n\n@zzz.test\n", to: "db/smtp-policy.spam")
        try scratch.write("zzz.TEST\naaa.test\n", to: "db/smtp-policy.spam.manual")
    }

    @Test("the files are merged with their tags, in order, with the places of their lines")
    func merges() throws {
        try writeAll()
        let ended = try run("-n")
        #expect(ended.exit == .code(0), "\(ended)")
        #expect(
            try entries()
                == [
                    ".  relaytarget -  #@smtp-policy.src:5", ".mx.test  = _relaytarget  #@smtp-policy.mx:2",
                    ".sub.test  = _localnames  #@localnames:4",
                    "[10.0.0.0]/8  submit + = _full_rights  #@smtp-policy.relay:2",
                    "[192.0.2.1]/32  = _full_rights  #@smtp-policy.relay:1",
                    "[192.0.2.1]/32  fulltrustnet + = _full_rights  #@smtp-policy.relay.manual:1",
                    "[198.51.100.0]/24  rejectnet +  #@smtp-policy.spam:3",
                    "aaa.test  = _bulk_mail  #@smtp-policy.spam.manual:2",
                    "example.test  = _localnames  #@localnames:2", "foo@bar.test  = _bulk_mail  #@smtp-policy.spam:2",
                    "mx.test  message \"see #7\" relaytarget - = _relaytarget  #@smtp-policy.mx.manual:1",
                    "postmaster@mx.test  = _relaytarget  #@smtp-policy.mx:3",
                    "zzz.test  = _bulk_mail  #@smtp-policy.spam:1",
                ].sorted())
        let relay = try #require(
            try GDBMReader(path: scratch.file("db/smtp-policy.gdbm")).octets(
                for: [7, 1, 192, 0, 2, 1, 32]).flatMap { PolicyRecord(octets: $0) })
        #expect(relay.pairs.first?.attribute == .fulltrustnet, ".manual comes first, so it holds")
        for line in [
            "        5  smtp-policy.src", "        2  localnames", "        1  smtp-policy.relay.manual",
            "        5  smtp-policy.spam", "        2  smtp-policy.spam.manual",
        ] {
            let isSpam = line.hasSuffix("smtp-policy.spam")
            #expect(ended.output.contains(isSpam ? "        4  smtp-policy.spam" : line), "\(ended.output)")
        }
    }

    @Test("the merge is the one that the service makes when it reads the files itself")
    func agreesWithTheService() throws { try agreesWithTheService(written: false) }

    private func agreesWithTheService(written: Bool) throws {
        if !written { try writeAll() }
        #expect(try run().exit == .code(0))
        var files: [String: [UInt8]] = [:]
        for file in PolicyMerge.files where access(scratch.file("db/\(file.name)"), F_OK) == 0 {
            files[file.name] = try scratch.octets("db/\(file.name)")
        }
        let memory = try PolicyMemoryDatabase(merging: files)
        let reader = try GDBMReader(path: scratch.file("db/smtp-policy.gdbm"))
        var count = 0
        try reader.forEach { key, value in
            guard key != PolicyKey.metadata else { return }
            count += 1
            let other = (try? memory.value(for: key)) ?? []
            // What the spam files say twice is put together by the service, and said once by sort.
            #expect(other == value || other.starts(with: value), "\(PolicyKey(octets: key)?.description ?? "")")
        }
        #expect(try memory.metadata().entries == count)
        #expect(try memory.metadata().v4Lengths == reader.metadata().v4Lengths)
    }

    private func sample(_ name: String) throws -> [UInt8] {
        let descriptor = open("\(Place.repository)/db/\(name)", O_RDONLY | O_CLOEXEC)
        try #require(descriptor >= 0, "db/\(name)")
        defer { close(descriptor) }
        var octets = [UInt8](repeating: 0, count: 1 << 16)
        let count = read(descriptor, &octets, octets.count)
        return Array(octets[..<max(0, count)])
    }

    private static let samples = [
        "smtp-policy.src", "localnames", "smtp-policy.relay", "smtp-policy.mx", "smtp-policy.spam",
    ]

    @Test("the examples in the samples compile when the # in front of them is taken away")
    func examples() throws {
        for name in Self.samples {
            var lines = String(decoding: try sample(name), as: UTF8.self).split(
                separator: "\n", omittingEmptySubsequences: false
            ).map(String.init)
            if name.hasPrefix("smtp-policy."), name != "smtp-policy.src" {
                lines = lines.map { $0.hasPrefix("#   ") ? String($0.dropFirst(4)) : $0 }
            }
            try scratch.write(lines.joined(separator: "\n"), to: "db/\(name)")
        }
        let ended = try run()
        #expect(ended.exit == .code(0), "\(ended)")
        #expect(try entries().contains("[192.0.2.16]/28  submit + = _full_rights  #@smtp-policy.relay:10"))
        #expect(try entries().contains("spammer@  = _bulk_mail  #@smtp-policy.spam:5"))
    }

    @Test("the samples compile, with no change and with one of each kind")
    func samples() throws {
        for name in Self.samples { try scratch.write(try sample(name), to: "db/\(name)") }
        let ended = try run()
        #expect(ended.exit == .code(0), "\(ended)")
        #expect(ended.errors.isEmpty)
        let defaults = try entries().filter { $0.hasPrefix(". ") || $0.hasPrefix("[0.0.0.0]/0 ") }
        #expect(defaults.count == 2)
        #expect(defaults[0].contains("relaycustomer - acceptifmx - senderokwithdns - = _rbl1"))
        #expect(defaults[1].contains("relaycustomer - acceptifmx - senderokwithdns - = _rbl0"))
        #expect(try scratch.text("db/smtp-policy.src").contains("#[0.0.0.0]/0    senderokwithdns - acceptifdns -"))
        // Each attribute of the language is explained.
        let text = try scratch.text("db/smtp-policy.src")
        for attribute in PolicyAttribute.allCases where attribute != .origin && attribute != .warnRcptDNSRBL {
            #expect(text.contains("\(attribute.name) "), "\(attribute.name)")
        }
    }

    @Test("every variant of the sample compiles, whichever lines are made active")
    func variants() throws {
        let descriptor = open("\(Place.repository)/db/smtp-policy.src", O_RDONLY | O_CLOEXEC)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        var octets = [UInt8](repeating: 0, count: 1 << 16)
        let count = read(descriptor, &octets, octets.count)
        let all = String(decoding: octets[..<max(0, count)], as: UTF8.self).split(separator: "\n").map { line in
            let isVariant = ["#_", "#.  ", "#["].contains { line.hasPrefix($0) }
            return isVariant ? String(line.dropFirst()) : String(line)
        }
        #expect(all.filter { $0.hasPrefix(". ") }.count == 4)
        try scratch.write(all.joined(separator: "\n") + "\n", to: "db/smtp-policy.src")
        let ended = try run()
        #expect(ended.exit == .code(0), "\(ended)")
    }

    @Test("a mistake keeps the database in use, and tells where it is")
    func broken() throws {
        try writeAll()
        #expect(try run().exit == .code(0))
        let before = try scratch.octets("db/smtp-policy.gdbm")
        let inode = try scratch.inode("db/smtp-policy.gdbm")
        try scratch.write("mx.test relaytarget yes\n", to: "db/smtp-policy.mx")
        try scratch.write("a.test\nspam.test nonsense +\n", to: "db/smtp-policy.spam.manual")
        let ended = try run()
        #expect(ended.exit == .code(65))
        #expect(ended.errors.contains("smtp-policy.mx:1: mx.test: relaytarget cannot be 'yes'"))
        #expect(ended.errors.contains("smtp-policy.spam.manual:2: spam.test: unknown attribute 'nonsense'"))
        #expect(ended.errors.contains("the database in use stays"))
        #expect(try scratch.octets("db/smtp-policy.gdbm") == before)
        #expect(try scratch.inode("db/smtp-policy.gdbm") == inode)
        #expect(access(scratch.file("db/smtp-policy-new.gdbm"), F_OK) != 0)
    }

    @Test("a file that is there and cannot be read is not passed over: its rights and refusals would go")
    func unreadable() throws {
        try writeAll()
        #expect(try run().exit == .code(0))
        let before = try scratch.octets("db/smtp-policy.gdbm")
        for name in ["localnames", "smtp-policy.relay", "smtp-policy.spam"] {
            let path = scratch.file("db/\(name)")
            for makes in [{ symlink("/nonexistent/list", path) }, { mkdir(path, 0o755) }] {
                try #require(unlink(path) == 0 && makes() == 0)
                let ended = try run()
                #expect(ended.exit == .code(66), "\(ended)")
                #expect(ended.errors.contains("/db/\(name): "), "\(ended)")
                #expect(ended.errors.contains("the database in use stays"))
                #expect(try scratch.octets("db/smtp-policy.gdbm") == before)
                try #require(remove(path) == 0)
                try writeAll()
            }
        }
    }

    @Test(
        "a byte order mark in front of a file is no part of its first key", arguments: ["localnames", "smtp-policy.mx"])
    func byteOrderMark(name: String) throws {
        try writeAll()
        try scratch.write([0xef, 0xbb, 0xbf] + Array("first.test\r\n".utf8), to: "db/\(name)")
        #expect(try run().exit == .code(0))
        let tag = name == "localnames" ? "_localnames" : "_relaytarget"
        #expect(try entries().contains("first.test  = \(tag)  #@\(name):1"))
        try agreesWithTheService(written: true)
    }

    @Test("what keeps it from working is said, with a code of its own")
    func obstacles() throws {
        try writeAll()
        #expect(try run("-d", scratch.file("nowhere")).exit == .code(66))
        let wait = try run(environment: ["POLICY_BUILDER_WAIT=soon"])
        #expect(wait.exit == .code(2))
        #expect(wait.errors.contains("POLICY_BUILDER_WAIT 'soon'"))
        #expect(try run(environment: ["TMPDIR=\(scratch.file("nowhere"))"]).exit == .code(73))
        try configure(makedb: "nowhere")
        let none = try run()
        #expect(none.exit == .code(69))
        #expect(none.errors.contains("nowhere/makedb"))
    }

    @Test("makedb's exit code is the builder's")
    func exitCode() throws {
        try writeAll()
        try #require(mkdir(scratch.file("other"), 0o755) == 0)
        try scratch.write("#!/bin/sh\nexit 73\n", to: "other/makedb")
        try #require(chmod(scratch.file("other/makedb"), 0o755) == 0)
        try configure(makedb: "other")
        #expect(try run().exit == .code(73))
        #expect(access(scratch.file("db/smtp-policy.gdbm"), F_OK) != 0)
    }

    @Test("kill -9 of makedb in the middle leaves the database in use, and nothing else")
    func killed() throws {
        try writeAll()
        #expect(try run().exit == .code(0))
        let before = try scratch.octets("db/smtp-policy.gdbm")
        let names = try #require(Optional(scratch.names))
        try #require(mkfifo(scratch.file("source"), 0o600) == 0)
        let child = try scratch.start(
            Place.program("makedb"), ["-A", "-p", "gdbm", scratch.file("db/smtp-policy"), "-"],
            input: scratch.file("source"))
        let pipe = open(scratch.file("source"), O_WRONLY | O_CLOEXEC)
        try #require(pipe >= 0)
        defer { close(pipe) }
        // More than the pipe holds: it has read, and stored, a part when all of it is written.
        let lines = Array((0..<20_000).map { "host\($0).test freeze +\n" }.joined().utf8)
        var rest = lines[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(pipe, $0.baseAddress, $0.count) }
            try #require(count > 0)
            rest = rest.dropFirst(count)
        }
        #expect(child.reap() == nil, "it waits for more")
        child.signal(SIGKILL)
        #expect(try scratch.end(child).exit == .signal(SIGKILL))
        unlink(scratch.file("source"))
        #expect(scratch.names == names)
        #expect(try scratch.octets("db/smtp-policy.gdbm") == before)
    }

    @Test("without the boilerplate it ends with 64")
    func noSource() throws {
        try scratch.write("example.test\n", to: "db/localnames")
        let ended = try run()
        #expect(ended.exit == .code(64))
        #expect(ended.errors.contains("\(scratch.file("db"))/smtp-policy.src is not there"))
    }

    @Test("-d and -f name other files", arguments: [true, false])
    func other(isRelative: Bool) throws {
        try #require(mkdir(scratch.file("else"), 0o755) == 0)
        try scratch.write("a.test freeze +\n", to: "else/mine.src")
        try scratch.write("b.test freeze +\n", to: "else/mine.mx")
        let failed = try run("-d", scratch.file("else"), "-f", "mine")
        #expect(failed.exit == .code(65), "_relaytarget is nowhere defined")
        try scratch.write("_relaytarget relaytarget +\n", to: "else/mine.src")
        let ended = try run("-d", scratch.file("else"), "-f", "mine")
        #expect(ended.exit == .code(0), "\(ended)")
        #expect(access(scratch.file("else/mine.gdbm"), R_OK) == 0)
    }

    @Test(
        "a wrong command line is answered with the usage and 2",
        arguments: [["-x"], ["operand"], ["-f", "../up"], ["-f", "a b"], ["-f", ""], ["-d"]])
    func usage(arguments: [String]) throws {
        let ended = try scratch.run("/bin/dash", [Place.script] + arguments)
        #expect(ended.exit == .code(2))
        #expect(!ended.errors.isEmpty)
    }

    @Test("a zmailer.conf that is not there is 78")
    func noConfiguration() throws {
        let ended = try scratch.run("/bin/dash", [Place.script], environment: ["ZCONFIG=/nonexistent/zmailer.conf"])
        #expect(ended.exit == .code(78))
        #expect(ended.errors.contains("/nonexistent/zmailer.conf"))
    }

    @Test("ZCONFIG names the configuration")
    func zconfig() throws {
        try writeAll()
        let ended = try scratch.run(
            "/bin/dash", [Place.script], environment: ["ZCONFIG=\(scratch.file("zmailer.conf"))"])
        #expect(ended.exit == .code(0), "\(ended)")
    }

    @Test(
        "types of ZMailer that are not here are built as gdbm, and it is said", arguments: ["btree", "ndbm", "BHASH"])
    func replaced(type: String) throws {
        try writeAll()
        try configure(type: type)
        let ended = try run()
        #expect(ended.exit == .code(0))
        #expect(ended.errors.contains("makedb: '\(type)' is not in this system; built and read as gdbm"))
        #expect(try entries().count == 13)
    }

    @Test("DBTYPE=text checks and builds nothing; an unknown type is a mistake")
    func text() throws {
        try writeAll()
        try configure(type: "text")
        let ended = try run()
        #expect(ended.exit == .code(0), "\(ended)")
        #expect(ended.output.contains("the sources are right"))
        #expect(access(scratch.file("db/smtp-policy.gdbm"), F_OK) != 0)
        try configure(type: "lmdb")
        let unknown = try run()
        #expect(unknown.exit == .code(64))
        #expect(unknown.errors.contains("'lmdb' is no database type"))
    }

    @Test("a second builder waits for the first, and gives up after a while")
    func locked() throws {
        try writeAll()
        let lock = open(scratch.file("db/.smtp-policy.lock"), O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        try #require(lock >= 0 && flock(lock, LOCK_EX) == 0)
        let refused = try run(environment: ["POLICY_BUILDER_WAIT=0"])
        #expect(refused.exit == .code(75))
        #expect(refused.errors.contains("another builder is at work"))
        close(lock)
        #expect(try run().exit == .code(0))
    }
}
