import ProgramKit
import Testing

@testable import Configuration
@testable import SMTPServer

@Suite struct ManualTests {
    func manual(_ name: String) throws -> String {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        return String(decoding: try FileOctets.read("\(root)/docs/man/\(name)", limit: 1 << 20), as: UTF8.self)
    }

    @Test("smtpserver.conf(5) has every parameter that can be used")
    func parameters() throws {
        let text = try manual("smtpserver.conf.5")
        for (name, parameter) in SMTPServerConfiguration.parameters {
            if case .unavailable = parameter { continue }
            #expect(text.contains(" \(name)"), "\(name)")
        }
    }

    @Test("smtpserver(8) has every option")
    func options() throws {
        let text = try manual("smtpserver.8")
        for spec in ServerOptions.specs {
            if let letter = spec.letter {
                let isNamed =
                    text.contains(".It Fl \(letter)") || text.contains(" \(letter) ") || text.contains("Fl \(letter)\n")
                #expect(isNamed, "-\(letter)")
            } else if let name = spec.name {
                #expect(text.contains("Fl -\(name)"), "--\(name)")
            }
        }
    }
}
