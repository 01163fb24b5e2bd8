import Glibc
import SpoolFormat
import Synchronization
import Testing

@testable import MailboxAgent

/// Counts the steps of a delivery; nobody waits for it any more from one of them on.
private final class Steps: Sendable {
    private struct State {
        var count = 0
        var passage: Passage?
    }
    private let state = Mutex(State())
    private let last: Int

    init(closingAt last: Int = .max) { self.last = last }

    func passage() -> Passage {
        let passage = Passage { [self] in
            let closed = state.withLock { state in
                state.count += 1
                return state.count == last ? state.passage : nil
            }
            closed?.close()
            return .now
        }
        state.withLock { $0 = State(count: 0, passage: passage) }
        if last == 0 { passage.close() }
        return passage
    }

    var count: Int { state.withLock { $0.count } }
    func forget() { state.withLock { $0.passage = nil } }
}

@Suite("Deliveries to slow file systems")
struct MailboxProgressTests {
    private let fixture: MailboxFixture
    private static let line = String(repeating: "0123456789abcde ", count: 4) + "\r\n"
    private static let separator = "From n@a.example x\n"

    init() throws { fixture = try MailboxFixture() }

    private static func copy(octets: Int) throws -> LocalCopy {
        let count = octets / line.utf8.count + 1
        return try LocalCopySamples.copy("Subject: new\r\n\r\n" + String(repeating: line, count: count))
    }

    private func maildir(_ steps: Steps, quota: String? = nil) -> Maildir {
        let path = "\(fixture.root)/Maildir"
        return Maildir(
            path: path, base: nil, size: MaildirSize(maildir: path, quota: quota.flatMap { MaildirQuota($0) }),
            passage: steps.passage())
    }

    private func append(_ copy: LocalCopy, _ steps: Steps, to path: String) throws -> MailboxFile.Outcome {
        var file = MailboxFile(path: path, locks: [.lockf])
        file.passage = steps.passage()
        defer { steps.forget() }
        return try file.append(copy, separator: Self.separator, identity: "7.1")
    }

    @Test("each piece of a message and each name of a directory is a step")
    func pieces() throws {
        let octets = SteadyWriter.stretch * 2
        let pieces = octets / LocalCopy.pieceSize
        let names = 300
        let steps = Steps()
        #expect(try maildir(steps).deliver(try Self.copy(octets: 10), name: "0", looksInCurrent: false) == .delivered)
        let few = steps.count
        for number in 1...names { try fixture.write("x", to: "Maildir/cur/\(number)") }
        _ = try maildir(steps).deliver(try Self.copy(octets: 10), name: "a", looksInCurrent: true)
        #expect(steps.count >= few + names)
        _ = try maildir(steps, quota: "1000000000S").deliver(
            try Self.copy(octets: 10), name: "b", looksInCurrent: false)
        #expect(steps.count >= few + names)
        _ = try maildir(steps).deliver(try Self.copy(octets: octets), name: "c", looksInCurrent: false)
        #expect(steps.count >= few + pieces)
        steps.forget()
        let mbox = Steps()
        _ = try append(try Self.copy(octets: octets), mbox, to: "\(fixture.root)/box")
        // It is read twice.
        #expect(mbox.count >= 2 * pieces + 2)
    }

    @Test("a Maildir has the whole once it was begun, or nothing, and a repetition knows it")
    func lateMaildir() throws {
        var outcomes: Set<Bool> = []
        for last in 0..<12 {
            let steps = Steps(closingAt: last)
            defer { steps.forget() }
            let name = "n\(last)"
            let copy = try Self.copy(octets: 3 * LocalCopy.pieceSize)
            let outcome = try? maildir(steps).deliver(copy, name: name, looksInCurrent: false)
            let files = fixture.names("Maildir/new").filter { $0.hasPrefix("\(name),S=") }
            #expect(files.count == (outcome == nil ? 0 : 1))
            outcomes.insert(outcome != nil)
            copy.rewind()
            let again = try maildir(Steps()).deliver(copy, name: name, looksInCurrent: false)
            #expect(again == (outcome == nil ? .delivered : .wasThere))
            #expect(fixture.names("Maildir/tmp").isEmpty)
        }
        #expect(outcomes == [true, false])
    }

    /// A file system without extended attributes.
    private static let canMount: Bool = {
        guard geteuid() == 0, let fixture = try? MailboxFixture(), mount("x", fixture.root, "ramfs", 0, nil) == 0 else {
            return false
        }
        umount2(fixture.root, Int32(MNT_DETACH))
        return true
    }()

    @Test("a mailbox file has one copy, or none where the delivery was deferred and no note can tell of it")
    func lateMailbox() throws {
        try late(hasNotes: true)
    }

    @Test("the same without notes", .enabled(if: canMount, "needs root and mount(2)"))
    func lateMailboxWithoutNotes() throws {
        let directory = "\(fixture.root)/plain"
        try #require(mkdir(directory, 0o755) == 0)
        try #require(mount("x", directory, "ramfs", 0, nil) == 0)
        defer { umount2(directory, Int32(MNT_DETACH)) }
        try late("plain/", hasNotes: false)
    }

    private func late(_ prefix: String = "", hasNotes: Bool) throws {
        let old = "From old@a.example x\n\nold\n\n"
        let all = Steps()
        try fixture.write(old, to: "\(prefix)box")
        _ = try append(try Self.copy(octets: 3 * LocalCopy.pieceSize), all, to: "\(fixture.root)/\(prefix)box")
        for last in 0...all.count + 1 {
            let name = "\(prefix)box\(last)"
            try fixture.write(old, to: name)
            let path = "\(fixture.root)/\(name)"
            let copy = try Self.copy(octets: 3 * LocalCopy.pieceSize)
            let outcome = try? append(copy, Steps(closingAt: last), to: path)
            // The last three steps: the last piece, and both sides of the synchronization.
            let isDelivered = last > (hasNotes ? all.count - 3 : all.count)
            #expect((outcome != nil) == isDelivered, "\(last) of \(all.count)")
            if outcome == nil { #expect(fixture.read(name) == old) }
            if hasNotes || outcome == nil {
                copy.rewind()
                #expect((try append(copy, Steps(), to: path) == .wasThere) == (outcome != nil))
            }
            #expect(fixture.read(name).ranges(of: Self.separator).count == 1)
        }
    }
}
