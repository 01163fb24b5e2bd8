import AgentProtocol
import Glibc
import SpoolFormat
import Testing

@testable import MailboxAgent

@Suite("Where mailboxes are and how messages stand in them")
struct MailboxFormatTests {
    let fixture: MailboxFixture

    init() throws { fixture = try MailboxFixture() }

    @Test("hashes are the published ones")
    func hashes() {
        // The check value of CRC-32; names that texts on ELF give for Weinberger's hash.
        #expect(NameHash.crc("123456789") == 0xcbf4_3926)
        #expect(NameHash.pjw("printf") == 0x077_905a6 && NameHash.pjw("exit") == 0x0006_cf04)
        #expect(NameHash.pjw("syscall") == 0x0b09_985c)
        var hash = UInt32(25 + 26 * 2)
        #expect(
            [NameHash.nextLetter(&hash), NameHash.nextLetter(&hash), NameHash.nextLetter(&hash)] == ["Z", "C", "A"])
    }

    @Test(
        "each letter of a path has its meaning",
        arguments: [
            ("/m/%a", "/m/al+x@h.x.test"), ("/m/%U/%u", "/m/Al Ice/al"), ("/m/%d/%D/%u", "/m/h/h.x.test/al"),
            // 97 * 16 + 108 = 22 + 26 * (11 + 26 * 2)
            ("/m/%x%x/%x/%u", "/m/WL/C/al"), ("/m/%X/%X/%u", "/m/A/R/al"), ("%h/%%", "/home/al/%"),
        ])
    func letters(text: String, path: String) throws {
        let values = PathTemplate.Values(
            user: "al", home: "/home/al", domain: "h.x.test", address: "al+x@h.x.test", fullName: "Al Ice")
        #expect(try PathTemplate(text).path(values) == path)
    }

    @Test("what strangers and users have chosen never leaves its place in a path")
    func components() throws {
        let values = PathTemplate.Values(user: "al", address: "../../etc/x@h", fullName: "..")
        #expect(try PathTemplate("/m/%a/%U").path(values) == "/m/_._.._etc_x@h/_.")
    }

    @Test(
        "directories in front of a mailbox",
        arguments: [
            (DirectoryHashing(), "/m/alice"), (DirectoryHashing(letters: 2), "/m/a/l/alice"),
            (DirectoryHashing(letters: 10), "/m/a/l/i/c/e/alice"), (DirectoryHashing(pjw: 2), "/m/M/N/alice"),
            (DirectoryHashing(letters: 1, crc: 1), "/m/a/F/alice"), (DirectoryHashing(crc: 2), "/m/B/F/alice"),
        ])
    func directories(hashing: DirectoryHashing, path: String) {
        #expect(hashing.path("/m/alice") == path)
    }

    @Test("with -M messages stand between lines of 0x01, which no message can end")
    func mmdf() throws {
        let settings = try fixture.settings("mbox:%ROOT/%u.mmdf") { $0.format = .mmdf }
        for body in ["Hello\r\n\u{1}\u{1}\u{1}\u{1}\r\nFrom me\r\n", "no line end"] {
            let reports = try fixture.deliver(
                [MailboxFixture.user("alice")], content: "Subject: x\r\n\r\n\(body)", settings: settings)
            #expect(reports.map(\.result) == [.ok])
        }
        let line = "\u{1}\u{1}\u{1}\u{1}\n"
        let parts = fixture.read("alice.mmdf").split(separator: line, omittingEmptySubsequences: false)
        // In front, between and behind the messages there is nothing.
        try #require(parts.count == 6)
        #expect(parts[0].isEmpty && parts[3].isEmpty && parts[5].isEmpty)
        #expect(parts[1].hasPrefix("From s@a.example "))
        #expect(parts[1].hasSuffix("\n\nHello\n>"))
        #expect(parts[2] == ">From me\n")
        #expect(parts[4].hasSuffix("\n\nno line end\n"))
    }

    @Test("with -U POP servers find a name for the message, always the same, and none that a stranger gave")
    func uniqueID() throws {
        let settings = try fixture.settings("mbox:%ROOT/%u.mbox") { $0.writesUniqueID = true }
        let content = "X-UIDL: stolen\r\nSubject: x\r\n\r\nHello\r\n"
        let report = try fixture.deliver([MailboxFixture.user("alice")], content: content, settings: settings)[0]
        let text = fixture.read("alice.mbox")
        #expect(text.contains("\nX-UIDL: \(report.file).\(report.offset)\n") && !text.contains("stolen"))
    }

    @Test("with -b comsat hears where in the mailbox the message begins")
    func biff() throws {
        let socket = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        try #require(socket >= 0)
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, length) == 0 && getsockname(socket, $0, &length) == 0
            }
        }
        try #require(bound)
        var settings = try fixture.settings("mbox:%ROOT/%u.mbox") { $0.biffs = true }
        settings.biffPort = UInt16(bigEndian: address.sin_port)
        try fixture.write("x\n", to: "alice.mbox")
        #expect(try fixture.deliver([MailboxFixture.user("alice")], settings: settings)[0].result == .ok)
        var entry = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        try #require(poll(&entry, 1, 10_000) == 1)
        var buffer = [UInt8](repeating: 0, count: 100)
        let count = recv(socket, &buffer, buffer.count, 0)
        #expect(String(decoding: buffer[..<max(0, count)], as: UTF8.self) == "alice@3")
    }

    @Test(
        "with -8 quoted-printable texts are what they stand for, others as they were",
        arguments: [
            ("text/plain; charset=utf-8", "a=\r\nb =C3=A9=20\r\nFrom=20me\r\n", "8bit", "ab é \n>From me\n"),
            ("text/plain", "a=3Db\r\n", "7bit", "a=b\n"),
            ("application/pdf", "a=3Db\r\n", "quoted-printable", "a=3Db\n"),
        ])
    func decoding(type: String, body: String, encoding: String, expected: String) throws {
        let settings = try fixture.settings("mbox:%ROOT/%u.mbox") { $0.decodes = true }
        let content =
            "MIME-Version: 1.0\r\nX-Envid: stolen\r\nContent-Type: \(type)\r\n"
            + "Content-Transfer-Encoding: quoted-printable\r\nSubject: x\r\n\r\n\(body)"
        for _ in 0..<2 {
            #expect(
                try fixture.deliver([MailboxFixture.user("alice")], content: content, settings: settings)[0].result
                    == .ok)
        }
        let text = fixture.read("alice.mbox")
        let parts = text.split(separator: "\n\n", maxSplits: 1)
        #expect(parts[0].hasPrefix("From s@a.example "))
        #expect(parts[0].lowercased().contains("content-transfer-encoding: \(encoding)"), "\(text)")
        #expect(!text.contains("stolen") && !text.contains("\r"))
        #expect(text.hasSuffix("\n\n\(expected)\n"), "\(text)")
        #expect(text.split(separator: "From s@a.example ").count == 2)
    }

    @Test("a large decoded message comes whole, whatever its pieces are")
    func largeDecoding() throws {
        let settings = try fixture.settings("maildir:%ROOT/mail/%u") { $0.decodes = true }
        let lines = (0..<30_000).map { "line \($0) =C3=A9\r\n" }.joined()
        let long = String(repeating: String(repeating: "0123456789=\r\n", count: 90) + "\r\n", count: 300)
        let content =
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
            + "Content-Transfer-Encoding: quoted-printable\r\n\r\n\(lines)\(long)"
        let report = try fixture.deliver([MailboxFixture.user("alice")], content: content, settings: settings)[0]
        #expect(report.result == .ok)
        let text = try #require(fixture.files("mail/alice/new").values.first)
        let expected =
            (0..<30_000).map { "line \($0) é\n" }.joined()
            + String(repeating: String(repeating: "0123456789", count: 90) + "\n", count: 300)
        #expect(text.hasSuffix("\n\n\(expected)"))
    }

    // MARK: Folders

    @Test(
        "a detail names a folder that is there, and nothing else",
        arguments: [
            ("lists.swift", ".lists.swift"), ("LISTS.Swift", ".lists.swift"), ("Work", ".Work"), ("none", ""),
            ("link", ""), ("file", ""), ("nonew", ""), ("..", ""), (".", ""), ("a/b", ""), ("", ""), ("Work.", ""),
            ("../Work", ""), ("x\u{1}", ""), (".Work", ""),
        ])
    func folders(detail: String, folder: String) throws {
        let path = "\(fixture.root)/Maildir"
        for name in ["", "/.lists.swift", "/.lists.swift/new", "/.Work", "/.Work/new", "/.nonew", "/new", "/other"] {
            try #require(mkdir(path + name, 0o700) == 0)
        }
        try #require(symlink(".Work", "\(path)/.link") == 0)
        try fixture.write("x", to: "Maildir/.file")
        #expect(MaildirFolder.path(in: path, detail: detail) == (folder.isEmpty ? path : "\(path)/\(folder)"))
        #expect(MaildirFolder.path(in: path, detail: nil) == path)
    }

    @Test("with MAILDIRFOLDERS=yes user+folder is delivered into the folder, else into the mailbox")
    func folderDelivery() throws {
        for name in ["mail", "mail/alice", "mail/alice/.Work", "mail/alice/.Work/new"] {
            try #require(mkdir("\(fixture.root)/\(name)", 0o700) == 0)
        }
        for zenv in [["MAILDIRFOLDERS": "yes"], [:]] {
            let settings = try fixture.settings("maildir:%ROOT/mail/%u", zenv)
            for user in ["alice+Work", "alice+Other"] {
                #expect(try fixture.deliver([MailboxFixture.user(user)], settings: settings)[0].result == .ok)
            }
        }
        #expect(fixture.names("mail/alice/.Work/new").count == 1)
        #expect(fixture.names("mail/alice/new").count == 3)
        #expect(fixture.names("mail/alice/.Work") == ["cur", "new", "tmp"])
    }
}
