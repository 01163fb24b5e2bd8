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

    /// Paragraphs of the manual by the names of the parameters in front of them.
    func paragraphs() throws -> [String: String] {
        var paragraphs: [String: String] = [:]
        var names: [String] = []
        var text = ""
        func close() {
            for name in names { paragraphs[name] = text }
            names = []
            text = ""
        }
        for line in try manual("smtpserver.conf.5").split(separator: "\n") {
            if line.hasPrefix(".It Cm ") {
                if !text.isEmpty { close() }
                names.append(String(line.split(separator: " ")[2]))
            } else if line.hasPrefix(".El") {
                close()
            } else {
                text += line + "\n"
            }
        }
        return paragraphs
    }

    @Test("smtpserver.conf(5) tells of each number its range, unit and default, and of each choice what there is")
    func values() throws {
        let paragraphs = try paragraphs()
        let defaults = SMTPServerConfiguration()
        for (name, parameter) in SMTPServerConfiguration.parameters {
            if case .unavailable = parameter { continue }
            // Names that take something back stand in the text of what they take back.
            guard let text = paragraphs[name] else { continue }
            let head = text.prefix { $0 != "\n" }
            switch parameter {
            case .number(let keyPath, let range, let unit):
                let words = unit.prefix { $0 != ";" }
                let range = "\(range.lowerBound) to \(range.upperBound)\(words.isEmpty ? "" : " \(words)")"
                #expect(head.contains("number, \(range)"), "\(name): \(range)")
                #expect(head.contains("default \(defaults[keyPath: keyPath])"), "\(name)")
            case .flag:
                #expect(head.contains("switch"), "\(name)")
            case .path:
                #expect(head.contains("path"), "\(name)")
            case .switchNumber:
                #expect(head.contains("0 or 1; default 0"), "\(name)")
            case .minimumProtocol:
                for value in SMTPServerConfiguration.TLSProtocol.allCases {
                    #expect(try manual("smtpserver.conf.5").contains(value.rawValue))
                }
            case .filterFailure:
                for value in SMTPServerConfiguration.FilterFailure.allCases {
                    #expect(try manual("smtpserver.conf.5").contains(".Cm \(value.rawValue)"))
                }
            case .contentFilter, .noContentFilter, .account, .accounts, .spfThreshold, .earlyTalker, .mechanisms, .text,
                .words,
                .lines, .listener, .traceElement, .networks,
                .namedCertificate, .clusterNode, .wrapperTables, .deliverBy, .tarpit, .group, .policyDatabase,
                .onlyFalse, .unavailable:
                break
            }
            #expect(head.contains("global") == SMTPServerConfiguration.global.contains(name.lowercased()), "\(name)")
        }
    }

    @Test("smtpserver.conf(5) and the source have the same parameters")
    func sameNames() throws {
        let known = Set(SMTPServerConfiguration.parameters.map(\.name))
        let paragraphs = try paragraphs()
        #expect(paragraphs.count > 80)
        for name in paragraphs.keys { #expect(known.contains(name), "\(name) is no parameter") }
    }

    @Test("smtpserver(8) has every option")
    func options() throws {
        let text = try manual("smtpserver.8")
        let flagLines = text.split(separator: "\n").filter { $0.hasPrefix(".Fl ") || $0.hasPrefix(".It Fl ") }
        let words = Set(flagLines.flatMap { $0.split(separator: " ").map(String.init) })
        for spec in ServerOptions.specs {
            if let letter = spec.letter { #expect(words.contains(String(letter)), "-\(letter)") }
            if let name = spec.name { #expect(words.contains("-\(name)"), "--\(name)") }
        }
    }
}
