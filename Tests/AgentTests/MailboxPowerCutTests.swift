import Glibc
import SpoolFormat
import Testing

@testable import MailboxAgent

/// The steps of an append are replayed up to a power cut: what is on disk then is any state that they allow.
@Suite("A mailbox file after a power cut")
struct MailboxPowerCutTests {
    let fixture: MailboxFixture
    private var path: String { "\(fixture.root)/box" }

    init() throws { fixture = try MailboxFixture() }

    private static let old = "From old@a.example Thu Jan  1 00:00:00 1970\n\nold\n\n"
    private static let header = (0..<40).map { "Received: from host\($0).example by mx.example.test\n" }.joined()
    private static let first =
        "From n@a.example x\n\(header)\n" + String(repeating: "first message\n", count: 3000) + "\n"
    private static let second = "From n@a.example x\nSubject: second\n\nsecond\n\n"
    /// When the machine came up again.
    private static let system = SystemStart(id: "second-run", time: 1_795_000_000)

    /// What of the append's octets the disk has.
    enum Tail: Hashable, CaseIterable {
        case none, beginning, headPart, most, mostThenZeros, zeros, all

        var octets: [UInt8] {
            let all = Array(first.utf8)
            switch self {
            case .none: return []
            case .beginning: return Array(all.prefix(10))
            case .headPart: return Array(all.prefix(400))
            case .most: return Array(all.prefix(30_000))
            case .mostThenZeros: return all.prefix(30_000) + [UInt8](repeating: 0, count: all.count - 30_000)
            case .zeros: return [UInt8](repeating: 0, count: all.count)
            case .all: return all
            }
        }
    }

    /// Which note the disk has.
    enum Note: Hashable, CaseIterable { case none, atWork, done }

    /// What the user's mail reader does before the next delivery.
    enum Reader: Hashable, CaseIterable { case nothing, shortens, flags, removes }

    private func put(_ tail: Tail, _ note: Note, _ reader: Reader) throws {
        // With its note.
        unlink(path)
        try fixture.write("", to: "box")
        let file = try OpenFile(path, O_RDWR)
        var octets = Array(Self.old.utf8) + tail.octets
        var journal = AppendJournal()
        journal.open = AppendJournal.Append(
            identity: "7.1", start: Self.old.utf8.count, count: Self.first.utf8.count,
            checksum: Checksum(Self.first.utf8), head: Array(Self.first.utf8.prefix(AppendJournal.maximumHead)),
            time: Self.system.time - 100, system: "first-run")
        if note == .done { journal.finish("7.1") }
        if note != .none { try #require(journal.write(to: file)) }
        switch reader {
        case .nothing: break
        case .shortens: octets.removeLast(tail.octets.count / 3)
        case .flags:
            // Behind the octets of the note.
            let place = Self.old.utf8.count + min(tail.octets.count, Self.header.utf8.count)
            octets.insert(contentsOf: Array("Status: RO\n".utf8), at: place)
        case .removes: octets.removeLast(tail.octets.count)
        }
        try octets.withUnsafeBytes { try file.write($0) }
        let time = timespec(tv_sec: Self.system.time + (reader == .nothing ? -50 : 50), tv_nsec: 0)
        try #require(futimens(file.descriptor, [time, time]) == 0)
    }

    private func append(_ identity: String) throws -> MailboxFile.Outcome {
        let text = identity == "7.1" ? Self.first : Self.second
        let content = String(text.split(separator: "\n", maxSplits: 1)[1].dropLast()).replacing("\n", with: "\r\n")
        var file = MailboxFile(path: path, locks: [.lockf])
        file.system = Self.system
        return try file.append(LocalCopySamples.copy(content), separator: "From n@a.example x\n", identity: identity)
    }

    @Test(
        "before the message was synchronized: what is left of it goes, and it comes once",
        arguments: Tail.allCases, [Note.none, .atWork])
    func early(tail: Tail, note: Note) throws {
        for others in [[], ["8.1"]] {
            try put(tail, note, .nothing)
            for other in others { #expect(try append(other) != .wasThere) }
            let outcome = try append("7.1")
            let box = fixture.read("box")
            guard note == .atWork || tail == .none else {
                // The message is there, whatever is in front of it.
                #expect(box.hasPrefix(Self.old) && box.hasSuffix(Self.first))
                continue
            }
            let next = others.isEmpty ? "" : Self.second
            #expect(box == Self.old + (tail == .all ? Self.first + next : next + Self.first))
            #expect((outcome == .wasThere) == (tail == .all))
        }
    }

    @Test("after it was synchronized: it stays, and is known again", arguments: [Note.atWork, .done])
    func late(note: Note) throws {
        for others in [[], ["8.1"]] {
            try put(.all, note, .nothing)
            for other in others { #expect(try append(other) != .wasThere) }
            #expect(try append("7.1") == .wasThere)
            #expect(fixture.read("box") == Self.old + Self.first + (others.isEmpty ? "" : Self.second))
        }
    }

    @Test(
        "after it was reported, and the user has changed it: it stays as he left it",
        arguments: [Note.atWork, .done], Reader.allCases)
    func changed(note: Note, reader: Reader) throws {
        try put(.all, note, reader)
        let left = fixture.read("box")
        #expect(try append("8.1") != .wasThere)
        let box = fixture.read("box")
        #expect(box.hasPrefix(left) && box.hasSuffix(Self.second))
        // Its report may have been lost too; then it comes again, and is known again where the note is.
        #expect((try append("7.1") == .wasThere) == (note == .done || reader == .nothing))
        #expect(fixture.read("box").hasPrefix(box))
    }

    @Test("a part that the user has seen stays, and the message comes", arguments: [Reader.shortens, .flags])
    func seen(reader: Reader) throws {
        try put(.most, .atWork, reader)
        let left = fixture.read("box")
        #expect(try append("7.1") != .wasThere)
        #expect(fixture.read("box").hasPrefix(left) && fixture.read("box").hasSuffix(Self.first))
    }
}
