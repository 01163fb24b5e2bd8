import AgentKit
import Glibc
import MailModel
import SpoolFormat
import Synchronization
import Testing

@testable import MailboxAgent

/// Copies of messages as an agent gets them.
enum LocalCopySamples {
    /// Makes its copy while the job runs; the file stays open in it.
    private final class Grabber: TransportAgent {
        let grab: @Sendable (DeliveryJob) -> Void
        init(_ grab: @escaping @Sendable (DeliveryJob) -> Void) { self.grab = grab }
        func deliver(_ job: DeliveryJob) { grab(job) }
    }

    /// Not shared: the agent's only thread is the caller's.
    private final class Box: @unchecked Sendable { var copy: LocalCopy? }

    static func copy(
        _ content: String, prefix: String = "", headerCount: Int = 0, format: MessageEnvelope.LineFormat = .crlf
    ) throws -> LocalCopy {
        let spool = try AgentKitSpool()
        let control = try spool.add([.from("s@a.test", [("local", "-", "u")])], content: content) {
            $0.bodyOffset = $0.headerStart + headerCount
            $0.format = format
        }
        let box = Box()
        _ = try spool.run(
            Grabber { box.copy = try? LocalCopy($0.content, prefix: prefix, header: nil) }, channel: "local",
            input: "\(control.id)\n")
        return try #require(box.copy)
    }

    static func text(_ copy: LocalCopy) throws -> String {
        var octets: [UInt8] = []
        while let piece = try copy.next() { octets += piece }
        return String(decoding: octets, as: UTF8.self)
    }
}

@Suite("The local form of a message")
struct MailboxContentTests {
    @Test(
        "each CRLF becomes LF and nothing else changes, wherever the reading is cut",
        arguments: [
            "", "\r\n", "\n", "\r", "a", "a\r\nb\r\n", "a\r\r\nb", "\r\n\r\n\r\n", "\ra\rb\r", "x\n\r\ny",
        ], [-2, -1, 0, 1])
    func lineEnds(end: String, shift: Int) throws {
        // Scalars: in Swift CRLF is one character.
        func local(_ text: String) -> String { text.replacing("\r\n", with: "\n") }
        for filling in [
            String(repeating: "x", count: LocalCopy.pieceSize + shift), line(to: LocalCopy.pieceSize + shift),
        ] {
            let content = filling + end + filling + end
            let copy = try LocalCopySamples.copy(content)
            let text = try LocalCopySamples.text(copy)
            #expect(text.utf8.elementsEqual(reference(Array(content.utf8))))
            copy.rewind()
            #expect(try LocalCopySamples.text(copy) == text)
        }
    }

    private func line(to count: Int) -> String {
        let lines = String(repeating: "0123456789 some text of a line\r\n", count: count / 32)
        return lines + String(repeating: "y", count: count - lines.utf8.count)
    }

    private func reference(_ octets: [UInt8]) -> [UInt8] {
        octets.indices.compactMap { index in
            octets[index] == 0x0d && index + 1 < octets.count && octets[index + 1] == 0x0a ? nil : octets[index]
        }
    }

    @Test("a file of another tool, lines ending in LF, stays as it is")
    func lineFeeds() throws {
        let content = "Subject: x\n\nlone \r\n in it\n"
        #expect(try LocalCopySamples.text(LocalCopySamples.copy(content, format: .lf)) == content)
    }

    @Test("a header too long to be searched is passed on")
    func hugeHeader() throws {
        let field = "X-Long: \(String(repeating: "y", count: LocalCopy.maximumHeader))\r\n"
        let content = "Return-Path: <a>\r\n\(field)\r\nbody\r\n"
        let copy = try LocalCopySamples.copy(content, prefix: "P: q\n", headerCount: content.utf8.count - 6)
        #expect(try LocalCopySamples.text(copy) == "P: q\n" + content.replacing("\r\n", with: "\n"))
    }

    @Test(
        "fields are taken out whole, and only they",
        arguments: [
            ("", ""), ("\r\n", "\r\n"), ("A: 1\r\n\r\n", "A: 1\r\n\r\n"), ("Xa: 1\r\n\r\n", "\r\n"),
            ("xA: 1\r\n 2\r\n\t3\r\nB: 1\r\n\r\n", "B: 1\r\n\r\n"), ("B: 1\r\nXA \t: 1", "B: 1\r\n"),
            ("XAB: 1\r\n", "XAB: 1\r\n"),
            ("B: 1\r\n xa: 2\r\n", "B: 1\r\n xa: 2\r\n"),
            ("XA: 1\r\nB: 2\r\nY-B: 3\r\nxa:\r\nC: 4\r\n", "B: 2\r\nC: 4\r\n"),
            (" leading\r\nB: 1\r\n", " leading\r\nB: 1\r\n"), ("Xa", "Xa"), ("X\u{1}: 1\r\n", "X\u{1}: 1\r\n"),
        ])
    func filter(header: String, rest: String) {
        let kept = HeaderFilter.removing(["xa", "y-b"], from: Array(header.utf8))
        #expect(String(decoding: kept, as: UTF8.self) == rest)
    }

    @Test(
        "lines that begin with From are quoted, wherever the pieces are cut",
        arguments: [
            ("From a\n", ">From a\n"), ("x\nFrom a\nFrom b\n", "x\n>From a\n>From b\n"), ("xFrom a\n", "xFrom a\n"),
            (">From a\n", ">From a\n"), ("From\n", "From\n"), ("", ""), ("\n\nFrom \n", "\n\n>From \n"),
            ("from a\n", "from a\n"),
        ])
    func quoting(text: String, quoted: String) throws {
        let octets = Array(text.utf8)
        // Pieces end with a line; cut at each.
        for cut in [0] + octets.indices.filter({ octets[$0] == 0x0a }).map({ $0 + 1 }) {
            var quoting = LineQuoting(.mbox)
            var result: [UInt8] = []
            for piece in [octets[..<cut], octets[cut...]] {
                try Array(piece).withUnsafeBytes { bytes in
                    try quoting.forEachPart(of: bytes) { (part: UnsafeRawBufferPointer) throws(DeliveryProblem) in
                        result += part
                    }
                }
            }
            #expect(String(decoding: result, as: UTF8.self) == quoted)
        }
    }

    @Test("the middle of a line too long for one piece is no line start")
    func longLine() throws {
        var quoting = LineQuoting(.mbox)
        var result = ""
        for piece in ["From the ", "From the end\n", "From x\n"] {
            try Array(piece.utf8).withUnsafeBytes { bytes in
                try quoting.forEachPart(of: bytes) { (part: UnsafeRawBufferPointer) throws(DeliveryProblem) in
                    result += String(decoding: part, as: UTF8.self)
                }
            }
        }
        #expect(result == ">From the From the end\n>From x\n")
    }

    @Test(
        "the line between messages holds an address without blanks",
        arguments: [
            (String?.none, "MAILER-DAEMON"), ("", "MAILER-DAEMON"), ("a@b", "a@b"), ("\"a b\"@c", "\"a_b\"@c"),
            ("x\nFrom y", "x_From_y"),
        ])
    func separator(sender: String?, written: String) {
        #expect(
            TraceFields.separator(sender: sender, time: 1_795_237_801) == "From \(written) Sat Nov 21 05:10:01 2026\n")
    }
}
