import MailModel

/// Messages of a seed: texts, attachments, multiparts and messages in one another, with contents that a conversion must not change.
struct GeneratedMessage {
    private var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func octets() -> [UInt8] {
        var output: [UInt8] = []
        for _ in 0..<number(4) { output += field() }
        if number(3) > 0 { output += Array("MIME-Version: 1.0\r\n".utf8) }
        entity(depth: 0, into: &output)
        return output
    }

    private mutating func number(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &generator) }

    private mutating func pick<T>(_ list: [T]) -> T { list[number(list.count)] }

    private mutating func word() -> String {
        pick([
            "a", "two", "\u{e9}t\u{e9}", "\u{1F600}", "K\u{f6}ln", "=?x", "x=y", "..", "From", "100%",
            "\u{65e5}\u{672c}\u{8a9e}",
            "long" + String(repeating: "g", count: number(90)), "_u_", "?",
        ])
    }

    private mutating func field() -> [UInt8] {
        let words = (0..<(1 + number(12))).map { _ in word() }
        switch number(4) {
        case 0: return Array("Subject: \(words.joined(separator: " "))\r\n".utf8)
        case 1: return Array("X-Text: \(words.joined(separator: "\r\n "))\r\n".utf8)
        case 2:
            let name = words.prefix(3).filter { $0.allSatisfy { $0.isLetter } }.joined(separator: " ")
            return Array("From: \"\(name)\" <a@b.test>\r\n".utf8)
        default: return Array("Comments: plain text\r\n".utf8)
        }
    }

    private mutating func entity(depth: Int, into output: inout [UInt8]) {
        switch number(depth > 4 ? 4 : 7) {
        case 4, 5:
            let boundary = "b\(depth)-\(number(1000))"
            output += "Content-Type: multipart/\(pick(["mixed", "alternative"])); boundary=\"\(boundary)\"\r\n".utf8
            if number(2) == 0 { output += "Content-Transfer-Encoding: 8bit\r\n".utf8 }
            output += "\r\n".utf8
            if number(3) == 0 { output += "This is MIME.\r\n".utf8 }
            for _ in 0..<(1 + number(3)) {
                output += "--\(boundary)\(number(5) == 0 ? "  " : "")\r\n".utf8
                entity(depth: depth + 1, into: &output)
                output += "\r\n".utf8
            }
            output += "--\(boundary)--\r\n".utf8
        case 6:
            output += "Content-Type: message/rfc822\r\n".utf8
            if number(2) == 0 { output += "Content-Transfer-Encoding: 8bit\r\n".utf8 }
            output += "\r\n".utf8
            output += field()
            output += "MIME-Version: 1.0\r\n".utf8
            entity(depth: depth + 1, into: &output)
        default: leaf(into: &output)
        }
    }

    private mutating func leaf(into output: inout [UInt8]) {
        let type = pick([
            "text/plain; charset=utf-8", "text/html; charset=\"utf-8\"", "application/x-data", "image/x", "text/plain",
        ])
        output += "Content-Type: \(type)\r\n".utf8
        let encoding = pick(["", "7bit", "8bit", "binary", "quoted-printable", "base64"])
        if !encoding.isEmpty { output += "Content-Transfer-Encoding: \(encoding)\r\n".utf8 }
        output += "\r\n".utf8
        switch encoding {
        case "base64":
            output += Base64.encode((0..<number(40)).map { _ in UInt8(number(256)) }).utf8
        case "quoted-printable":
            for _ in 0..<number(5) {
                output += "\(pick(["a=C3=A9", "b =20", "c=", "=3D=3d", "end", "=46rom x"]))\r\n".utf8
            }
            output += "last".utf8
        default:
            for _ in 0..<number(8) {
                output += (0..<number(9)).map { _ in word() }.joined(separator: " ").utf8
                if number(6) == 0 { output += pick([" ", "\t", ""]).utf8 }
                output += "\r\n".utf8
            }
            if number(4) == 0 { output += String(repeating: "x\u{e9}", count: number(900)).utf8 }
        }
    }
}
