import Configuration
import DeliveryStatus
import Forms
import Glibc
import Testing

@Suite("Forms of an instance")
final class FormLibraryTests {
    let root: String

    init() throws {
        var template = Array("/tmp/forms-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        try #require(mkdir("\(root)/forms", 0o755) == 0)
    }

    deinit { system("rm -rf '\(root)'") }

    private func write(_ octets: [UInt8], _ name: String) throws {
        let file = try #require(fopen("\(root)/forms/\(name)", "w"))
        defer { fclose(file) }
        try #require(fwrite(octets, 1, octets.count, file) == octets.count)
    }

    private func write(_ text: String, _ name: String) throws { try write(Array(text.utf8), name) }

    private func library(_ languages: String = "") -> FormLibrary {
        FormLibrary(environment(languages))
    }

    private func environment(_ languages: String = "") -> ZEnvironment {
        ZEnvironment(values: ["MAILSHARE": root, "FORMLANGUAGE": languages, "ZCONFIG": "/etc/zmailer.conf"])
    }

    private func subject(_ finding: FormLibrary.Finding) -> String? {
        if case .found(let form) = finding { form.subject } else { nil }
    }

    @Test(
        "the first of the operator's languages that there is a file for, else the one without a language",
        arguments: [
            ("", "plain"), ("de", "german"), ("fr", "plain"), ("fr de", "german"), ("de,pt-BR", "german"),
            ("pt-BR de", "brazilian"), ("en de", "plain"), ("../de", "plain"),
        ])
    func language(languages: String, expected: String) throws {
        try write("SUB plain\n\ntext\n", "delivery")
        try write("SUB german\n\nText\n", "delivery.de")
        try write("SUB brazilian\n\ntexto\n", "delivery.pt-BR")
        #expect(subject(library(languages).form("delivery")) == expected)
    }

    @Test("labels of a language hold for all its forms, and a form has the last word")
    func labels() throws {
        try write("LNG de\nLBL failed NICHT ZUGESTELLT:\nLBL said Der Server % sagt:\n", "labels.de")
        try write("LBL failed AUS:\n\nText\n", "delivery.de")
        try write("LBL failed NO LUCK:\n", "labels")
        try write("\ntext\n", "success")
        guard case .found(let form) = library("de").form("delivery") else { throw Missing() }
        #expect(form.language == "de" && form.wording[.failed] == "AUS:" && form.wording[.said] == "Der Server % sagt:")
        guard case .found(let plain) = library("de").form("success") else { throw Missing() }
        #expect(plain.language == "en" && plain.wording[.failed] == "NO LUCK:")
    }

    private struct Missing: Error {}

    @Test("the chosen form, else that of the kind, else the built-in text")
    func chosen() throws {
        #expect(library().form(.expired) == .standard(.expired))
        try write("SUB kind\n\ntext\n", "expired")
        try write("SUB chosen\n\ntext\n", "ours")
        #expect(library().form(.expired).subject == "kind")
        #expect(library().form(.expired, chosen: "ours").subject == "chosen")
        #expect(library().form(.expired, chosen: "absent").subject == "kind")
        #expect(library().form(.expired, chosen: "../forms/ours").subject == "kind")
    }

    @Test("every kind has a built-in text", arguments: ReportKind.allCases)
    func builtIn(kind: ReportKind) {
        let form = ReportForm.standard(kind)
        #expect(form.subject?.isEmpty == false && form.text.utf8.count > 60)
        #expect(form.text.utf8.allSatisfy { $0 < 0x80 })
    }

    @Test("mistakes are told with file and line")
    func mistakes() throws {
        try write(
            "SUB ${hots}\nHDR no field\nADR two words\nLNG 12 34\nLBL blah x\n\nok ${host} $$ $x\n${nonsense}\n",
            "delivery")
        try write("\ntext ${list} here\n", "expired.de")
        try write(Array("\nGr".utf8) + [0xfc, 0xdf] + Array("e\n".utf8), "success")
        try write([UInt8](repeating: 0x61, count: FormLibrary.maximumSize + 1), "relayed")
        try write("${nonsense}\n", "delivery.de~")
        let found = library().mistakes().map { "\($0.file.dropFirst(root.utf8.count + 7)):\($0.line)" }
        #expect(
            found == [
                "delivery:1", "delivery:2", "delivery:3", "delivery:4", "delivery:5", "delivery:8", "expired.de:2",
                "relayed:0", "success:2",
            ])
        #expect(library().mistakes()[0].reason.contains("valid are host postmaster sender subject"))
    }

    @Test(
        "FORMLANGUAGE is checked",
        arguments: [
            ("", 0), ("de", 0), ("de fr", 1), ("en de", 0), ("deutsch-oder-sonstwas!", 1), ("a b c d e f g h i", 9),
        ])
    func languages(text: String, count: Int) throws {
        try write("\ntext\n", "delivery.de")
        let mistakes = FormLibrary.mistakes(environment(text))
        #expect(mistakes.count == count)
        #expect(mistakes.allSatisfy { $0.key == "FORMLANGUAGE" && $0.file == "/etc/zmailer.conf" })
    }

    @Test("no folder, no mistakes")
    func noFolder() {
        #expect(FormLibrary(directory: "\(root)/absent").mistakes().isEmpty)
    }

    @Test("the forms that come with the system have none, and each is short enough for every screen")
    func samples() throws {
        let tree = "\(#filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined())"
        let library = FormLibrary(directory: "\(tree)/proto/forms", languages: ["de", "fr"])
        #expect(library.mistakes() == [])
        for kind in ReportKind.allCases {
            let form = FormLibrary(directory: library.directory).form(kind)
            #expect(form != .standard(kind))
            #expect(form.text.contains("\n${list}\n"))
            #expect(
                form.text.split(separator: "\n").allSatisfy { $0.utf8.count <= 72 && $0.utf8.allSatisfy { $0 < 0x80 } })
        }
        for language in ["de", "fr"] {
            guard
                case .found(let form) = FormLibrary(directory: library.directory, languages: [language]).form(
                    "delivery")
            else { throw Missing() }
            #expect(form.language == language)
            #expect(form.text.split(separator: "\n").allSatisfy { $0.count <= 72 })
        }
    }
}
