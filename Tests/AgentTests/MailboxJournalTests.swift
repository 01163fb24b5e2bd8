import Glibc
import ProgramKit
import SpoolFormat
import Testing

@testable import MailboxAgent

@Suite("What a killed delivery has left in a mailbox file")
struct MailboxJournalTests {
    let fixture: MailboxFixture
    private var path: String { "\(fixture.root)/box" }

    init() throws { fixture = try MailboxFixture() }

    private static let old = "From old@a.example Thu Jan  1 00:00:00 1970\n\nold\n\n"

    /// A mailbox of `content` with a note of an append at ``old``'s end.
    private func mailbox(_ content: String, head: String, count: Int) throws -> OpenFile {
        try fixture.write(content, to: "box")
        let file = try OpenFile(path, O_RDWR)
        var journal = AppendJournal()
        journal.open = AppendJournal.Append(
            identity: "7.1", start: Self.old.utf8.count, count: count,
            checksum: Checksum(content.utf8.dropFirst(Self.old.utf8.count).prefix(count)), head: Array(head.utf8),
            time: time(nil), system: SystemStart.current.id)
        try #require(journal.write(to: file))
        try #require(AppendJournal.read(from: file) == journal, "this file system keeps no notes")
        return file
    }

    private func append(_ identity: String) throws -> MailboxFile.Outcome {
        try MailboxFile(path: path, locks: [.lockf]).append(
            LocalCopySamples.copy("Subject: new\r\n\r\nnew\r\n"), separator: "From n@a.example x\n", identity: identity)
    }

    private static let new = "From n@a.example x\nSubject: new\n\nnew\n\n"
    private static let head = "From s@a.example Fri Nov 27 00:00:00 2026\nReturn-Path: <s@a.example>\n"

    @Test(
        "a part is taken away, whatever comes next",
        arguments: ["F", "From s@a", head, head + "\nhalf a mess", head + "\nx\n>From y\n"], ["7.1", "8.1"])
    func part(rest: String, identity: String) throws {
        _ = try mailbox(Self.old + rest, head: Self.head, count: 1000)
        #expect(try append(identity) == .delivered(at: Self.old.utf8.count))
        #expect(fixture.read("box") == Self.old + Self.new)
    }

    @Test(
        "what is not known for sure stays",
        arguments: [
            // Another program has written behind it, in place of it, or taken something away.
            head + "\nhalf\n\nFrom other@a.example x\n\nother\n\n", "From other@a.example x\n\nother\n\n", "",
        ])
    func kept(rest: String) throws {
        _ = try mailbox(Self.old + rest, head: Self.head, count: 1000)
        #expect(try append("8.1") != .wasThere)
        #expect(fixture.read("box").hasPrefix(Self.old + rest))
        #expect(fixture.read("box").hasSuffix(Self.new))
    }

    @Test(
        "a note of an older version, without a checksum, still tells what is done, whole, or a part",
        arguments: [
            ("\nwhole\n\n", 0, "whole"), ("\nwhole\n\nFrom b@a.example x\n\nb\n\n", 23, "whole"),
            ("\nhalf a mess", -1000, "part"), ("\nhalf\n\nFrom b@a.example x\n\nb\n\n", -1000, "kept"),
            // Of the announced size, but with another program's message in it.
            ("\nhalf\n\nFrom b@a.example x\n\nb\n\n", 0, "kept"),
        ])
    func older(rest: String, more: Int, finding: String) throws {
        let start = Self.old.utf8.count
        let rest = Self.head + rest
        try fixture.write(Self.old + rest, to: "box")
        let file = try OpenFile(path, O_RDWR)
        let note = "1 5.1 4.1\n7.1 \(start) \(rest.utf8.count - more)\n\(Self.head)"
        try #require(FileAttribute("zmailer.append").write(Array(note.utf8), to: file.descriptor) == 0)
        #expect(AppendJournal(Array(note.utf8))?.encoded == Array(note.utf8))
        #expect(try append("5.1") == .wasThere)
        #expect(fixture.read("box") == Self.old + rest)
        #expect((try append("7.1") == .wasThere) == (finding == "whole"))
        let kept = finding == "part" ? Self.old : Self.old + rest
        #expect(fixture.read("box") == kept + (finding == "whole" ? "" : Self.new))
        #expect(try append("4.1") == .wasThere)
    }

    @Test("a mailbox that has become shorter keeps all that it has")
    func shortened() throws {
        _ = try mailbox("From x@a.example y\n\nx\n\n", head: Self.head, count: 1000)
        #expect(try append("8.1") != .wasThere)
        #expect(fixture.read("box") == "From x@a.example y\n\nx\n\n" + Self.new)
    }

    @Test("the whole is known again, also when another message came in between")
    func whole() throws {
        let rest = Self.head + "\nwhole\n\n"
        _ = try mailbox(Self.old + rest, head: Self.head, count: rest.utf8.count)
        #expect(try append("8.1") != .wasThere)
        #expect(fixture.read("box") == Self.old + rest + Self.new)
        #expect(try append("7.1") == .wasThere)
        #expect(try append("8.1") == .wasThere)
        #expect(fixture.read("box") == Self.old + rest + Self.new)
        for number in 0..<16 { #expect(try append("9.\(number)") != .wasThere) }
        // It is a short memory.
        #expect(try append("8.1") != .wasThere)
    }

    @Test("what another program has written behind a part does not make it whole")
    func filled() throws {
        let rest = Self.head + "\nhalf a mess"
        _ = try mailbox(Self.old + rest, head: Self.head, count: 1000)
        let other = "\n\nFrom other@a.example x\n\n\(String(repeating: "other ", count: 500))\n\n"
        let file = try OpenFile(path, O_WRONLY | O_APPEND)
        try file.write(other)
        #expect(try append("7.1") != .wasThere)
        #expect(fixture.read("box") == Self.old + rest + other + Self.new)
    }

    @Test("a message that its reader has shortened after it was delivered stays")
    func edited() throws {
        #expect(try append("8.1") == .delivered(at: 0))
        try #require(truncate(path, off_t(Self.new.utf8.count - 4)) == 0)
        #expect(try append("8.2") != .wasThere)
        #expect(fixture.read("box") == Self.new.dropLast(4) + "\n\n" + Self.new)
    }

    @Test(
        "notes that nobody here has written are passed over",
        arguments: [
            "", "1", "2 x\n", "1\n\n", "1\nx 1\n", "1\nx 1 5 0\n", "1\nx 1 0\nF", "1\nx -1 5 0 0 s\n",
            "1\nx 1 0 0 0 s\n",
            "1\nx 9223372036854775807 9 0 0 s\nF", "1\nx 1 5 100000000 0 s\n",
        ])
    func strange(text: String) { #expect(AppendJournal(Array(text.utf8)) == nil) }

    @Test("a note is read as it was written")
    func roundTrip() {
        var journal = AppendJournal()
        #expect(AppendJournal(journal.encoded) == journal)
        for number in 0..<20 { journal.finish("\(number)") }
        #expect(AppendJournal(journal.encoded) == journal && journal.done.count == 16 && journal.done[0] == "19")
        for system in ["", SystemStart.current.id] {
            journal.open = AppendJournal.Append(
                identity: "5.6", start: 7, count: 8, checksum: Checksum("x".utf8), head: Array("From \n\n x".utf8),
                time: 9, system: system)
            #expect(AppendJournal(journal.encoded) == journal)
        }
    }
}
