import Policy
import ProgramKit
import Tables

extension DatabaseBuilder {
    func policy(_ writer: GDBMWriter?) throws(Failure) -> Outcome {
        let file = try source()
        var reader = PolicySourceReader(file: file.name)
        var store = Store(writer, appends: request.appends)
        var mistakes = Mistakes()
        let failure = try file.forEach { (line) throws(Failure) in
            switch reader.read(line: line) {
            case .entry(let key, let record):
                // With a mistake the rest is read for further ones only.
                guard mistakes.count == 0 else { return }
                try store.put(key.octets, record.octets) {
                    "\(record.pairs.first?.origin ?? file.name): \(key)"
                }
            case .nothing: break
            case .error(let error): mistakes.add(error.description)
            }
        }
        if let failure { throw Failure(lines: [failure.description], code: .ioError) }
        for error in reader.undefinedTags() { mistakes.add(error.description) }
        try mistakes.finish()
        // Last: a database without it was not finished.
        var metadata = reader.metadata()
        metadata.entries = store.outcome.keys
        metadata.built = now
        let outcome = store.outcome
        try store.put(PolicyKey.metadata, metadata.octets) { "metadata" }
        return outcome
    }

    func source() throws(Failure) -> LineFile {
        do throws(LineFile.Failure) {
            return try LineFile(request.input)
        } catch {
            throw Failure(lines: [error.description], code: .noInput)
        }
    }
}
