import ProgramKit
import Testing

@testable import SMTPAgent

@Suite struct SMTPAgentManualTests {
    @Test("smtp(8) has every option")
    func options() throws {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        let text = String(decoding: try FileOctets.read("\(root)/docs/man/smtp.8", limit: 1 << 20), as: UTF8.self)
        let items = text.split(separator: "\n").filter { $0.hasPrefix(".It Fl ") }
        let words = Set(items.flatMap { $0.split { $0 == " " || $0 == "," }.map(String.init) })
        for spec in SMTPAgentOptions.specs {
            if let letter = spec.letter { #expect(words.contains(String(letter)), "-\(letter)") }
            if let name = spec.name {
                #expect(words.contains("\\-\\-\(name)") || words.contains("\\-\(name)"), "--\(name)")
            }
        }
    }
}
