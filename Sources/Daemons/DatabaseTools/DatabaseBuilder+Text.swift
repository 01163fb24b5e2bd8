import MailModel
import ProgramKit
import Routing
import Tables

extension DatabaseBuilder {
    /// `name: target, target`, by the same parser as the router's.
    func aliases(_ writer: GDBMWriter?) throws(Failure) -> Outcome {
        let file = try source()
        var octets: [UInt8] = []
        let failure = file.forEach { line in
            octets += line
            octets.append(0x0a)
        }
        if let failure { throw Failure(lines: [failure.description], code: .ioError) }
        let table: AliasTable
        do throws(TableErrors) {
            table = try AliasTable.parse(octets, file: file.name, check: AliasTarget.problem)
        } catch {
            var mistakes = Mistakes()
            for error in error.errors { mistakes.add(error.description) }
            try mistakes.finish()
            throw Failure(lines: [error.description], code: .dataError)
        }
        var store = Store(writer, appends: request.appends, separator: Array(", ".utf8))
        for (name, entry) in table.entries.sorted(by: { $0.value.line < $1.value.line }) {
            try store.put(folded(Array(name.utf8)), Array(entry.targets.joined(separator: ", ").utf8)) {
                "\(file.name):\(entry.line): \(name)"
            }
        }
        return store.outcome
    }

    /// `key value`, one a line; blank lines and lines with `#` in front are nothing.
    func plain(_ writer: GDBMWriter?) throws(Failure) -> Outcome {
        let file = try source()
        var store = Store(writer, appends: request.appends, separator: Array(", ".utf8))
        var mistakes = Mistakes()
        var number = 0
        let failure = try file.forEach { (line) throws(Failure) in
            number += 1
            guard let first = line.first(where: { !Self.isBlank($0) }), first != UInt8(ascii: "#") else { return }
            guard !Self.isBlank(line.first ?? 0) else {
                mistakes.add("\(file.name):\(number): begins with a blank; valid is: key value")
                return
            }
            let key = line.prefix { !Self.isBlank($0) }
            var value = line[key.endIndex...].drop(while: Self.isBlank)
            while let last = value.last, Self.isBlank(last) { value.removeLast() }
            let name = Octets.cleaned(Octets.text(key))
            guard !value.isEmpty else {
                mistakes.add("\(file.name):\(number): \(name): has no value; valid is: key value")
                return
            }
            guard mistakes.count == 0 else { return }
            try store.put(folded(Array(key)), Array(value)) { "\(file.name):\(number): \(name)" }
        }
        if let failure { throw Failure(lines: [failure.description], code: .ioError) }
        try mistakes.finish()
        return store.outcome
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }

    private func folded(_ key: [UInt8]) -> [UInt8] {
        switch request.fold {
        case .none: key
        case .lower: key.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }
        case .upper: key.map { (0x61...0x7a).contains($0) ? $0 & ~0x20 : $0 }
        }
    }
}
