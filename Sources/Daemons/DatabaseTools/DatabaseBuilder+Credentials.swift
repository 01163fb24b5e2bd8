import ProgramKit
import SASL
import Tables

extension DatabaseBuilder {
    /// `user:credential`, one a line (``CredentialEntry``). The credentials of a user are put together, whatever `-A` says: each counts.
    func credentials(_ writer: GDBMWriter?) throws(Failure) -> Outcome {
        let file = try source()
        var checker = CredentialTextChecker(file: file.name)
        var store = Store(writer, appends: true, separator: CredentialTable.separator)
        var number = 0
        let failure = try file.forEach { (line) throws(Failure) in
            number += 1
            guard let entry = checker.entry(line, number: number), checker.mistakes.isEmpty else { return }
            try store.put(entry.user.octets, Array(entry.credential.text.utf8)) {
                "\(file.name):\(number): \(entry.user)"
            }
        }
        if let failure { throw Failure(lines: [failure.description], code: .ioError) }
        var mistakes = Mistakes()
        for mistake in checker.mistakes { mistakes.add(mistake.description) }
        try mistakes.finish()
        // Last: a database without it was not finished.
        let outcome = store.outcome
        try store.put(CredentialTable.profileKey, checker.profile.record) { "profile" }
        return outcome
    }
}
