import Policy
import ProgramKit
import Tables

/// What `makedb` does: reads a source and makes a database of it, or reports every mistake and leaves everything as it is.
struct DatabaseBuilder {
    enum Form: Hashable, Sendable {
        /// `key value`.
        case plain
        /// `-a`.
        case aliases
        /// `-p`.
        case policy
        /// `-c`.
        case credentials

        /// Of the database: nobody else may read hashes of passwords.
        var mode: UInt32 { self == .credentials ? 0o600 : 0o644 }
    }
    enum Fold: Hashable, Sendable {
        case none
        case lower
        case upper
    }
    struct Request: Hashable, Sendable {
        var type = DatabaseType.gdbm
        /// Without suffix.
        var basename = ""
        /// A path, or `-`.
        var input = "-"
        var form = Form.plain
        var fold = Fold.none
        /// `-A`: values of equal keys are put together; otherwise the first one stays, and there is a warning.
        var appends = false
    }
    struct Outcome: Hashable, Sendable {
        var keys = 0
        /// Lines whose key had been there.
        var repeated = 0
        /// The first ``mistakeLimit``.
        var warnings: [String] = []
        var warningCount = 0
    }
    struct Failure: Error, Hashable, Sendable {
        /// One line each; the last may say that there are more.
        var lines: [String]
        var code: ExitCode
    }

    /// Mistakes and warnings that are told one by one.
    static let mistakeLimit = 100

    var request: Request
    /// Seconds since 1970, for the metadata.
    var now: Int64

    func run() throws(Failure) -> Outcome {
        let writer: GDBMWriter?
        do throws(GDBMFailure) {
            writer =
                switch request.type {
                case .gdbm: try GDBMWriter(path: request.basename + request.type.suffix, mode: request.form.mode)
                case .text: nil
                }
        } catch {
            throw Failure(lines: [error.description], code: .cannotCreate)
        }
        let outcome: Outcome
        switch request.form {
        case .policy: outcome = try policy(writer)
        case .aliases: outcome = try aliases(writer)
        case .credentials: outcome = try credentials(writer)
        case .plain: outcome = try plain(writer)
        }
        do throws(GDBMFailure) {
            try writer?.commit()
        } catch {
            throw Failure(lines: [error.description], code: .ioError)
        }
        return outcome
    }

    /// Whatever a form stores goes through here.
    struct Store {
        let writer: GDBMWriter?
        let appends: Bool
        let separator: [UInt8]
        var outcome = Outcome()
        /// Without a writer, what would have been stored.
        private var seen: Set<[UInt8]> = []

        init(_ writer: GDBMWriter?, appends: Bool, separator: [UInt8] = []) {
            self.writer = writer
            self.appends = appends
            self.separator = separator
        }

        /// `place` is `file:line: key`.
        mutating func put(_ key: [UInt8], _ value: [UInt8], place: () -> String) throws(Failure) {
            let isNew: Bool
            do throws(GDBMFailure) {
                if let writer {
                    isNew =
                        appends
                        ? try writer.append(key, value, separator: separator) : try writer.insert(key, value)
                } else {
                    isNew = seen.insert(key).inserted
                }
            } catch {
                guard error.code == 0 else { throw Failure(lines: [error.description], code: .ioError) }
                throw Failure(lines: ["\(place()): \(error.reason)"], code: .dataError)
            }
            if isNew {
                outcome.keys += 1
                return
            }
            outcome.repeated += 1
            guard !appends else { return }
            outcome.warningCount += 1
            if outcome.warnings.count < DatabaseBuilder.mistakeLimit {
                outcome.warnings.append("\(place()): stands here again; the first one holds (-A puts them together)")
            }
        }
    }

    /// Mistakes as they are found.
    struct Mistakes {
        private(set) var lines: [String] = []
        private(set) var count = 0

        mutating func add(_ line: @autoclosure () -> String) {
            count += 1
            if lines.count < DatabaseBuilder.mistakeLimit { lines.append(line()) }
        }

        func finish() throws(Failure) {
            guard count > 0 else { return }
            let more = count - lines.count
            throw Failure(
                lines: lines + (more > 0 ? ["… and \(more) mistakes more"] : []), code: .dataError)
        }
    }
}
