import Glibc
import Policy
import ProgramKit
import Tables
import Telemetry

/// The policy without a database file: the text files of `$MAILVAR/db`, merged in memory as policy-builder.sh does, and again when one
/// of them changes. Confined to one thread.
final class PolicyFiles: PolicySource {
    /// Octets of one file.
    static let maximumSize = 64 << 20

    private let folder: String
    private let log: EventLog?
    private var problemsFound: [String] = []
    private var database: PolicyMemoryDatabase?
    /// Of the files when they were read; `nil`: never, or in vain.
    private var signatures: [FileSignature?]?
    private var lastLook: Int64?
    private var vanishedAt: Int64?
    private var trouble: PolicyTrouble?

    /// Without a `log` nothing is said.
    init(folder: String, log: EventLog?) {
        self.folder = folder
        self.log = log
    }

    /// All mistakes in the files as they are now.
    func problems() -> [String] {
        problemsFound = []
        signatures = nil
        look(0)
        return problemsFound
    }

    func current(now: Int64) throws(PolicyTrouble) -> any PolicyDatabase {
        if lastLook.map({ now - $0 >= PolicySources.lookInterval || now < $0 }) ?? true { look(now) }
        if let database { return database }
        throw trouble ?? PolicyTrouble("\(folder): no policy")
    }

    func lookAgain() {
        lastLook = nil
        vanishedAt = nil
    }

    private func look(_ now: Int64) {
        lastLook = now
        // A folder that is gone is not a policy without files: a file system may not be mounted.
        guard access("\(folder)/", F_OK) == 0 else {
            return fail(["\(folder): \(String(cString: strerror(errno)))"], nil)
        }
        var found: [FileSignature?] = []
        for file in PolicyMerge.files {
            switch FileSignature.of("\(folder)/\(file.name)") {
            case .there(let signature): found.append(signature)
            case .missing: found.append(nil)
            case .failure(let code):
                return fail(["\(folder)/\(file.name): \(String(cString: strerror(code)))"], nil)
            }
        }
        guard found != signatures else {
            vanishedAt = nil
            return
        }
        if database != nil, let signatures, zip(signatures, found).contains(where: { $0 != nil && $1 == nil }) {
            // Programs replace files in two steps.
            let since = vanishedAt ?? now
            vanishedAt = since
            if now - since < PolicySources.graceTime { return }
        }
        vanishedAt = nil
        read(found)
    }

    private func read(_ found: [FileSignature?]) {
        var contents: [String: [UInt8]] = [:]
        for (file, signature) in zip(PolicyMerge.files, found) where signature != nil {
            do throws(FileOctets.Failure) {
                contents[file.name] = try FileOctets.read("\(folder)/\(file.name)", limit: Self.maximumSize)
            } catch {
                return fail(["\(error)"], nil)
            }
        }
        do throws(PolicySourceErrors) {
            let fresh = try PolicyMemoryDatabase(merging: contents)
            database = fresh
            trouble = nil
            signatures = found
            log?.notice("policy-loaded", ["files": folder, "keys": PolicySources.entries(fresh)])
        } catch {
            fail(error.errors.map { "\(folder)/\($0)" }, found)
        }
    }

    /// `found`: what was read and is wrong, and is not read again before it changes.
    private func fail(_ reasons: [String], _ found: [FileSignature?]?) {
        let first = PolicyTrouble(reasons.first ?? folder)
        problemsFound = reasons
        if found != nil || trouble != first {
            for reason in reasons.prefix(100) {
                log?.error(
                    "policy-broken", ["reason": reason, "in-use": database == nil ? "none" : "the version before"])
            }
        }
        signatures = found
        trouble = first
    }
}
