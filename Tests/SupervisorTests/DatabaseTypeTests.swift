import Configuration
import Testing

@testable import Supervisor

@Suite("DBTYPE")
struct DatabaseTypeTests {
    @Test(
        "zmailer check takes gdbm and text, and says of others what is valid",
        arguments: [
            ("gdbm", nil), ("GDBM", nil), ("text", nil), (nil, nil), ("btree", "(makedb builds gdbm in its place)"),
            ("NDBM", "(makedb builds gdbm in its place)"), ("lmdb", "'lmdb' is not supported; valid are gdbm"),
        ] as [(String?, String?)])
    func check(type: String?, problem: String?) {
        var environment = ZEnvironment(values: ["ZCONFIG": "/x/zmailer.conf", "MAILBIN": "/nonexistent"])
        environment["DBTYPE"] = type
        let mistakes = ConfigurationCheck.mistakes(environment).filter { $0.contains("DBTYPE") }
        if let problem {
            #expect(mistakes.count == 1)
            #expect(mistakes.first?.hasPrefix("/x/zmailer.conf: DBTYPE: '\(type ?? "")' is not supported") == true)
            #expect(mistakes.first?.contains(problem) == true)
        } else {
            #expect(mistakes.isEmpty)
        }
    }
}
