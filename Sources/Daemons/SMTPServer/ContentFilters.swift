import Configuration
import Glibc
import NIOCore
import Synchronization
import Telemetry

/// The content filters of a worker: all sessions share them. What it holds lives on one event loop.
final class ContentFilters: Sendable {
    private let queues: [String: NIOLoopBound<FilterQueue>]
    private let loop: any EventLoop
    private let bypassed = Atomic<Int>(0)
    private let lastNumber = Atomic<Int>(0)

    init(_ settings: Settings, loop: any EventLoop, log: EventLog) {
        self.loop = loop
        let groups = [settings.configuration] + settings.configuration.groups
        let names = Set(groups.flatMap(\.contentFilters))
        let made = loop.submit {
            names.map { name in
                let queue = FilterQueue(
                    name, startSocket: FilterPlace.startSocket(of: name, settings), settings: settings, loop: loop,
                    log: log)
                return (name, NIOLoopBound(queue, eventLoop: loop))
            }
        }
        // A closure that does not throw, on a loop that runs.
        guard let pairs = try? made.wait() else { preconditionFailure("an event loop did not start") }
        queues = Dictionary(uniqueKeysWithValues: pairs)
    }

    /// Starts a process of each, and looks after them from now on.
    func begin() {
        let queues = Array(queues.values)
        guard !queues.isEmpty else { return }
        loop.execute { for queue in queues { queue.value.warmUp() } }
        loop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            for queue in queues { queue.value.look() }
        }
    }

    /// Calls `then` once, on the filters' loop.
    ///
    /// - Returns: to be called when nobody waits for the answer any more; then `then` may not be called.
    func ask(
        _ name: String, path: String, fingerprint: Int, then: @escaping @Sendable (FilterOutcome) -> Void
    ) -> @Sendable () -> Void {
        guard let queue = queues[name] else {
            then(.failed("\(name) is not configured"))
            return {}
        }
        let number = lastNumber.add(1, ordering: .relaxed).newValue
        let loop = loop
        loop.execute { queue.value.submit(number, path: path, fingerprint: fingerprint, done: then) }
        return { loop.execute { queue.value.withdraw(number) } }
    }

    /// A message went unfiltered, because `contentfilter-failure accept` says so. - Returns: how many were there so far.
    func countBypass() -> Int { bypassed.add(1, ordering: .relaxed).newValue }

    /// No new sessions come: processes end when they have nothing to do.
    func drain() {
        let queues = Array(queues.values)
        loop.execute { for queue in queues { queue.value.drain() } }
    }

    func stop() {
        let queues = Array(queues.values)
        try? loop.submit { for queue in queues { queue.value.stop() } }.wait()
    }
}

/// Where a `contentfilter` is.
enum FilterPlace {
    /// What keeps the filters from being used, as far as it can be told beforehand.
    static func problems(_ settings: Settings) -> [String] {
        var problems = settings.filterPrograms.compactMap { program -> String? in
            guard socket(of: program) == nil else { return nil }
            var info = stat()
            if stat(program, &info) != 0 {
                return "PARAM contentfilter \(program): \(String(cString: strerror(errno)))"
            }
            if info.st_mode & S_IFMT != S_IFREG || info.st_mode & 0o111 == 0 {
                return "PARAM contentfilter \(program): no program, and no socket"
            }
            return nil
        }
        let user = settings.configuration.contentFiltering.user
        if !settings.filterPrograms.isEmpty {
            do throws(FilterIdentity.Problem) { _ = try FilterIdentity.find(settings) } catch {
                problems.append("PARAM \(error)")
            }
        }
        if user.isEmpty, geteuid() == 0, !settings.filterPrograms.isEmpty,
            TrustedUser.identity(settings.environment) == nil
        {
            problems.append("PARAM contentfilter: filters run as root, as all does without a TRUSTEDUSER")
        }
        if !user.isEmpty, geteuid() != 0 {
            problems.append("PARAM contentfilter-user \(user): needs a smtpserver that is started by root")
        }
        return problems
    }

    /// The socket that somebody else serves, as it is now; `nil`: it is a program.
    static func socket(of name: String) -> String? {
        if name.hasPrefix("unix:") { return String(name.dropFirst(5)) }
        var info = stat()
        return stat(name, &info) == 0 && info.st_mode & S_IFMT == S_IFSOCK ? name : nil
    }

    /// Of the master: whoever connects to it has a process of the program at the other end.
    static func startSocket(of program: String, _ settings: Settings) -> String {
        // FNV-1a: a short name for a long path, no secret.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for octet in program.utf8 { hash = (hash ^ UInt64(octet)) &* 0x0000_0100_0000_01b3 }
        return "\(settings.postoffice)/.filter-\(settings.instanceName)-\(String(hash, radix: 36))"
    }
}
