import FilterKit
import MailModel
import SpoolFormat

/// A content filter: refuses messages without exactly one From and those with a forbidden word, freezes what is large, and says
/// in a header field that it was there.
@main
enum Example {
    static let word = Array("X-EXAMPLE-FORBIDDEN-WORD".utf8)

    static func main() {
        FilterProgram.run(credits: 2) { job in
            guard let header = try job.content.header(), header.count("From") == 1 else {
                return FilterAnswer(.refuse(because: "a message has one From field (RFC 5322 section 3.6)"))
            }
            if job.content.count > 10 << 20 { return FilterAnswer(.freeze(code: 2)) }
            var offset = header.bodyStart
            while offset < job.content.count {
                // Parts overlap, so that no border can hide the word.
                let part = try job.content.octets(from: offset, maximum: 64 << 10)
                if contains(part) { return FilterAnswer(.refuse(because: "it has the forbidden word")) }
                offset += max(1, part.count - word.count + 1)
            }
            let client = job.client?.address.map { "\($0)" } ?? "local"
            return FilterAnswer(
                .accept(), edits: [.field("X-Example", "looked at, from \(client)"), .tag("example=clean")])
        }
    }

    static func contains(_ part: [UInt8]) -> Bool {
        part.indices.contains { part[$0] == word[0] && part[$0...].starts(with: word) }
    }
}
