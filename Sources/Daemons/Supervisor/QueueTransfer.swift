import Configuration
import Glibc
import Postoffice
import ProgramKit
import SpoolFormat

/// Mail out of a queue, into files, and into another one: `zmailer queue export`, `import`; and back to the router: `resubmit`.
///
/// A file is a message file (docs/spool.md §2) whose envelope names the recipients that are not done.
public enum QueueTransfer {
    /// Octets of an envelope: a hundred thousand recipients.
    static let maximumEnvelope = 64 << 20
    private static let suffix = ".mail"

    // MARK: Export

    /// Writes a file for each message that is meant into `directory`. With `removes` messages are held meanwhile, and those that are
    /// written, durably, are removed; what an agent has in hand, and what cannot be written, stays. ``ExitCode/temporaryFailure``:
    /// something stays, or the scheduler could not write all of it to its disk.
    public static func export(
        _ environment: ZEnvironment, _ filter: QueueFilter, to directory: String, removes: Bool
    ) -> ExitCode {
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else { return failure(directory, errno, .cannotCreate) }
        let postoffice: Postoffice
        do throws(PostofficeError) {
            postoffice = try Postoffice(environment.postoffice)
        } catch {
            Program.print("zmailer: \(error)", to: 2)
            return .noPermission
        }
        var messages: [JSONValue] = []
        var code = QueueControl.ask(environment, ["select"], filter.fields) { messages.append($0) }
        guard code == .ok else { return code }
        var ids = messages.compactMap { $0["id"]?.string }
        var withdrawal = QueueWithdrawal(environment, messages)
        if removes {
            guard let held = withdrawal.hold(ids) else { return withdrawal.code }
            for message in held where hasActive(message) {
                let id = message["id"]?.string ?? "?"
                Program.print("\(id): an agent has it; it stays", to: 2)
                ids.removeAll { $0 == id }
                code = .temporaryFailure
            }
        }
        var written: [String] = []
        for text in ids {
            guard let id = SpoolID(text) else { continue }
            if let problem = write(postoffice, id, to: directory, isComplete: removes) {
                Program.print("\(text): \(problem)", to: 2)
                code = .temporaryFailure
            } else {
                written.append(text)
                Program.print("\(directory)/\(text)\(suffix)")
            }
        }
        if let problem = syncDirectory(directory) {
            Program.print("zmailer: \(problem)\(removes ? "; nothing is removed" : "")", to: 2)
            code = .ioError
            written = []
        }
        guard removes else { return code }
        withdrawal.end(removing: written)
        let isDone = withdrawal.code == .ok || withdrawal.code == .temporaryFailure
        return code == .ok || !isDone ? withdrawal.code : code
    }

    private static func hasActive(_ message: JSONValue) -> Bool {
        (message["recipients"]?.elements ?? []).contains { $0["state"]?.string == "active" }
    }

    /// What went wrong, if anything. `isComplete`: all of what is undone must be in it.
    static func write(_ postoffice: Postoffice, _ id: SpoolID, to directory: String, isComplete: Bool) -> String? {
        do throws(PostofficeError) {
            let octets = try postoffice.read(.transport, id, limit: 256 << 20)
            let file: ControlFile
            let envelope: MessageEnvelope
            do {
                file = try ControlFile.parse(octets)
                let head = try postoffice.readPrefix(.queue, id, limit: file.headerStart).octets
                envelope = try MessageEnvelope.parse(head).envelope
            } catch {
                return "cannot be read: \(error)"
            }
            let remaining = RemainingEnvelope(file, original: envelope)
            guard !remaining.taken.isEmpty else { return "nothing of it is undone" }
            guard remaining.left.isEmpty || !isComplete else {
                return
                    "\(remaining.left.count) recipients are files or programs of an alias that is done in part; it stays"
            }
            return try write(postoffice, id, remaining.envelope, file.headerStart, to: directory)
        } catch {
            return error.description
        }
    }

    private static func write(
        _ postoffice: Postoffice, _ id: SpoolID, _ envelope: MessageEnvelope, _ start: Int, to directory: String
    ) throws(PostofficeError) -> String? {
        let path = "\(directory)/\(id)\(suffix)"
        let new = "\(path).new"
        unlink(new)
        let descriptor = open(new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return "\(new): \(String(cString: strerror(errno)))" }
        defer { close(descriptor) }
        let head = envelope.encoded()
        guard Glibc.write(descriptor, head, head.count) == head.count else {
            return "\(new): \(String(cString: strerror(errno)))"
        }
        try postoffice.copyContent(of: id, from: start, to: descriptor, at: head.count, path: new)
        guard fsync(descriptor) == 0, rename(new, path) == 0 else {
            return "\(path): \(String(cString: strerror(errno)))"
        }
        return nil
    }

    private static func syncDirectory(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return "\(path): \(String(cString: strerror(errno)))" }
        defer { close(descriptor) }
        return fsync(descriptor) == 0 ? nil : "\(path): \(String(cString: strerror(errno)))"
    }

    private static func failure(_ path: String, _ code: Int32, _ exit: ExitCode) -> ExitCode {
        Program.print("zmailer: \(path): \(String(cString: strerror(code)))", to: 2)
        return exit
    }

    // MARK: Import

    /// Each file as a new message, to be routed: durable before the next one, and before a file is removed. A folder stands for the
    /// files in it that ``export(_:_:to:removes:)`` writes.
    public static func `import`(_ environment: ZEnvironment, _ paths: [String], removes: Bool) -> ExitCode {
        if let code = Control.refuseStranger("zmailer", environment) { return code }
        let postoffice: Postoffice
        do throws(PostofficeError) {
            postoffice = try Postoffice(environment.postoffice)
        } catch {
            Program.print("zmailer: \(error)", to: 2)
            return .noPermission
        }
        let router = NoticeSender(socketPath: "\(postoffice.root)/.router.notify", directory: "router")
        var code = ExitCode.ok
        for path in paths.flatMap(files) {
            switch take(path, into: postoffice) {
            case .success(let id):
                router.send(id)
                Program.print("\(path): to be routed as \(id)")
                if removes, unlink(path) != 0 { code = failure(path, errno, .cannotCreate) }
            case .failure(let problem):
                Program.print("\(QueueListing.printable(path)): \(QueueListing.printable(problem.reason))", to: 2)
                code = .dataError
            }
        }
        return code
    }

    private static func files(_ path: String) -> [String] {
        var information = stat()
        guard stat(path, &information) == 0, information.st_mode & S_IFMT == S_IFDIR else { return [path] }
        return ProcFile.names(in: path).filter { $0.hasSuffix(suffix) }.sorted().map { "\(path)/\($0)" }
    }

    struct Problem: Error {
        let reason: String
    }

    static func take(_ path: String, into postoffice: Postoffice) -> Result<SpoolID, Problem> {
        let source = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard source >= 0 else { return .failure(Problem(reason: String(cString: strerror(errno)))) }
        defer { close(source) }
        var information = stat()
        guard fstat(source, &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
            return .failure(Problem(reason: "is no file"))
        }
        let head = readPrefix(source, min(Int(information.st_size), maximumEnvelope))
        let envelope: MessageEnvelope
        do throws(MessageFileError) {
            let parsed = try MessageEnvelope.parse(head)
            envelope = parsed.envelope
            let content = Int(information.st_size) - parsed.headerStart
            if let traits = envelope.traits, traits.size > content {
                return .failure(Problem(reason: "is a part of a message: \(content) of \(traits.size) octets"))
            }
        } catch {
            return .failure(Problem(reason: "is no message file: \(error); valid are files of zmailer queue export"))
        }
        guard !envelope.recipients.isEmpty else { return .failure(Problem(reason: "names no recipient")) }
        do throws(PostofficeError) {
            let id = postoffice.newID()
            let draft = try postoffice.draft(id)
            var offset = 0
            var buffer = [UInt8](repeating: 0, count: 1 << 18)
            while true {
                let count = buffer.withUnsafeMutableBytes { pread(source, $0.baseAddress, $0.count, off_t(offset)) }
                if count < 0, errno == EINTR { continue }
                guard count >= 0 else {
                    draft.discard()
                    return .failure(Problem(reason: String(cString: strerror(errno))))
                }
                if count == 0 { break }
                try draft.append(pieces: [Array(buffer[..<count])])
                offset += count
            }
            try draft.commit(to: .router)
            return .success(id)
        } catch {
            return .failure(Problem(reason: error.description))
        }
    }

    private static func readPrefix(_ descriptor: Int32, _ limit: Int) -> [UInt8] {
        var octets = [UInt8](repeating: 0, count: limit)
        var count = 0
        while count < limit {
            let got = octets.withUnsafeMutableBytes { buffer in
                pread(descriptor, buffer.baseAddress?.advanced(by: count), limit - count, off_t(count))
            }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { break }
            count += got
        }
        return Array(octets[..<count])
    }

    // MARK: Resubmission

    /// What waits in `deferred/`, or was put aside in `postman/`, is routed now. No `ids`: all of `deferred/`.
    public static func resubmit(_ environment: ZEnvironment, _ ids: [String]) -> ExitCode {
        if let code = Control.refuseStranger("zmailer", environment) { return code }
        var code = ExitCode.ok
        do throws(PostofficeError) {
            let postoffice = try Postoffice(environment.postoffice)
            let router = NoticeSender(socketPath: "\(postoffice.root)/.router.notify", directory: "router")
            let found = ids.isEmpty ? try postoffice.entries(.deferred) : ids.compactMap { SpoolID($0) }
            for id in found {
                if let place = try postoffice.resubmit(id) {
                    router.send(id)
                    Program.print("\(id): from \(place), to be routed now")
                } else {
                    Program.print("\(id): is neither in deferred/ nor a message in postman/", to: 2)
                    code = .noInput
                }
            }
        } catch {
            Program.print("zmailer: \(error)", to: 2)
            return .ioError
        }
        return code
    }
}
