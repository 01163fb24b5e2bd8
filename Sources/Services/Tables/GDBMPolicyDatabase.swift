import Glibc
import Policy

/// A policy database that may be replaced at any time: looks at most once a second whether its name leads to another file, opens that
/// before it lets go of the one in use, and keeps the one in use if the new one is broken. Confined to one thread.
public final class GDBMPolicyDatabase {
    /// For the log.
    public enum Event: Hashable, Sendable {
        /// `isFirst`: nothing was in use before.
        case opened(path: String, entries: Int, isFirst: Bool)
        /// `keepsOld`: the version before stays in use.
        case broken(reason: String, keepsOld: Bool)
    }

    /// Milliseconds between two looks at the name.
    public static let interval: Int64 = 1000
    /// Milliseconds after which a file that has vanished is a broken one: programs replace files in two steps.
    public static let grace: Int64 = 3000

    /// With its suffix.
    public let path: String
    private let report: (Event) -> Void
    private var reader: GDBMReader?
    /// The file behind the name that was looked at last, good or broken.
    private var seen: FileSignature?
    private var lastLook: Int64?
    private var vanishedAt: Int64?
    private var trouble: PolicyTrouble?

    /// - Parameter path: without `.gdbm`.
    public init(basename path: String, report: @escaping (Event) -> Void) {
        self.path = "\(path).gdbm"
        self.report = report
    }

    /// The version in use; a decision takes all it needs from one. `now` in milliseconds of a steady clock.
    public func current(now: Int64) throws(PolicyTrouble) -> GDBMReader {
        if lastLook.map({ now - $0 >= Self.interval || now < $0 }) ?? true { look(now) }
        if let reader {
            do throws(GDBMFailure) { try reader.checkSize() } catch { throw PolicyTrouble(error.description) }
            return reader
        }
        throw trouble ?? PolicyTrouble("\(path) cannot be used")
    }

    /// The next use looks at the name.
    public func lookAgain() {
        lastLook = nil
        vanishedAt = nil
    }

    private func look(_ now: Int64) {
        lastLook = now
        var info = stat()
        guard stat(path, &info) == 0 else {
            let code = errno
            if code == ENOENT, reader != nil, trouble == nil {
                let since = vanishedAt ?? now
                vanishedAt = since
                if now - since < Self.grace { return }
            }
            seen = nil
            return fail("\(path): \(String(cString: strerror(code)))\(code == ENOENT ? "; run policy-builder.sh" : "")")
        }
        vanishedAt = nil
        let signature = FileSignature(info)
        guard signature != seen else { return }
        // What cannot be opened for a reason of the system is tried again at the next look.
        seen = nil
        do throws(GDBMFailure) {
            let fresh = try GDBMReader(path: path)
            seen = fresh.signature
            do throws(PolicyTrouble) {
                let entries = try fresh.metadata().entries
                let isFirst = reader == nil
                reader = fresh
                trouble = nil
                report(.opened(path: path, entries: entries, isFirst: isFirst))
            } catch {
                fail(error.description)
            }
        } catch {
            if error.code == 0 { seen = signature }
            fail(error.description)
        }
    }

    private func fail(_ reason: String) {
        // Once for each cause.
        guard trouble?.description != reason else { return }
        trouble = PolicyTrouble(reason)
        report(.broken(reason: reason, keepsOld: reader != nil))
    }
}
