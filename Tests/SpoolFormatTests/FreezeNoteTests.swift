import SpoolFormat
import Testing

@Suite("The note beside a frozen message")
struct FreezeNoteTests {
    @Test(
        "it is read as it was written",
        arguments: [
            FreezeNote(code: 1, time: 1_795_237_801, reason: "freezenet + @smtp-policy.src:4 via [192.0.2.0]/24"),
            FreezeNote(code: 99, time: 0, source: "/usr/libexec/zmailer/filter -x", reason: ""),
            FreezeNote(code: 1, time: 5, source: "policy", reason: "größer als erlaubt"),
        ])
    func roundTrip(note: FreezeNote) { #expect(FreezeNote(parsing: note.encoded()) == note) }

    @Test("it is lines of key and value")
    func text() {
        let note = FreezeNote(code: 7, time: 12, reason: "a b")
        #expect(note.encoded() == Array("code 7\ntime 12\nsource policy\nreason a b\n".utf8))
    }

    @Test(
        "what a stranger puts into a reason stays one line of it",
        arguments: [("a\ncode 9", "a code 9"), ("a\r\nb", "a  b"), ("\u{1b}[2J", " [2J"), ("\0", " ")])
    func hostile(reason: String, kept: String) {
        let note = FreezeNote(code: 1, time: 2, source: "x\ny", reason: reason)
        #expect(note.reason == kept)
        let read = FreezeNote(parsing: note.encoded())
        #expect(read == note && read?.code == 1)
    }

    @Test("a long reason is cut between characters", arguments: 0...3)
    func cut(offset: Int) {
        let note = FreezeNote(
            code: 1, time: 2, reason: String(repeating: "x", count: offset) + String(repeating: "€", count: 3000))
        #expect((FreezeNote.maximumReason - 3...FreezeNote.maximumReason).contains(note.reason.utf8.count))
        #expect(note.reason.unicodeScalars.allSatisfy { $0 == "x" || $0 == "€" })
        #expect(FreezeNote(parsing: note.encoded()) == note)
    }

    @Test(
        "what is no whole note is none",
        arguments: [
            "", "code 1\n", "code 1\ntime 5\nsource policy\n", "code 1\ntime 5\nsource policy\nreason torn",
            "code 0\ntime 5\nsource policy\nreason x\n", "code -1\ntime 5\nsource policy\nreason x\n",
            "code x\ntime 5\nsource policy\nreason x\n", "code 1\ntime y\nsource policy\nreason x\n", "\n\n\n",
        ])
    func malformed(text: String) { #expect(FreezeNote(parsing: Array(text.utf8)) == nil) }

    @Test("unknown keys are passed over, and the first of two counts")
    func unknown() {
        let text = "size 5\ncode 2\nreason one\nreason two\nsource policy\ntime 5\n\nmore\n"
        #expect(FreezeNote(parsing: Array(text.utf8)) == FreezeNote(code: 2, time: 5, reason: "one"))
        let large = Array(text.utf8) + [UInt8](repeating: 0x0a, count: FreezeNote.maximumSize)
        #expect(FreezeNote(parsing: large) == nil)
    }
}
