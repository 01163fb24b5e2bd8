import AgentProtocol
import Glibc
import SpoolFormat
import Synchronization

/// The loop that all agents share: asks for jobs, opens their files, lets the agent deliver, reports (docs/protocols.md).
///
/// Each `#hungry` is one credit for one job. As many are outstanding as there may be threads; threads are started as jobs come.
public final class AgentRunner: Sendable {
    public struct Options: Sendable {
        /// The agent's name in reports: `smtp`.
        public var name: String
        public var selection: RecipientSelection
        /// Jobs worked on at the same time (`-j`).
        public var maximumJobs: Int
        /// Holds the control files; agents are started in `transport/`.
        public var controlDirectory = "."
        /// Holds the message files.
        public var queueDirectory = "../queue"
        public var input = STDIN_FILENO
        public var output = STDOUT_FILENO
        /// SIGTERM lets the jobs at work finish and takes no other; a second one ends the program at once.
        public var handlesTermination = true

        public init(name: String, selection: RecipientSelection, maximumJobs: Int = 1) {
            self.name = name
            self.selection = selection
            self.maximumJobs = max(1, maximumJobs)
        }
    }

    private let options: Options
    private let agentID: String
    private let source: JobSource
    private let writer: ReportWriter
    private let observer: ResultObserver
    private let waiting = Atomic<Int>(0)
    private let threads = Mutex<Threads>(Threads())

    private struct Threads: Sendable {
        var started = 0
        var unjoined: [pthread_t] = []
    }

    /// Octets of a thread's stack: nothing here recurses.
    private static let stackSize = 512 * 1024
    /// Octets of a control file: a hundred thousand recipients and their results.
    private static let maximumControlFile = 256 << 20

    public init(_ options: Options, observer: @escaping ResultObserver = { _, _, _, _ in }) {
        self.options = options
        self.observer = observer
        agentID = "\(options.name)[\(getpid())]"
        source = JobSource(
            descriptor: options.input, termination: options.handlesTermination ? Termination.descriptor() : nil)
        writer = ReportWriter(descriptor: options.output)
    }

    /// Works until the input ends and all jobs are done. The calling thread is one of the workers.
    public func run(_ agent: some TransportAgent) {
        // The scheduler may go before its agents; that shows as a failed write.
        signal(SIGPIPE, SIG_IGN)
        threads.withLock { $0.started = 1 }
        writer.write(Array(String(repeating: "#hungry\n", count: options.maximumJobs).utf8))
        work(agent)
        while let thread = threads.withLock({ $0.unjoined.popLast() }) { pthread_join(thread, nil) }
        agent.finish()
    }

    private func work(_ agent: any TransportAgent) {
        while true {
            waiting.add(1, ordering: .relaxed)
            let line = source.line(tick: agent.tick)
            waiting.subtract(1, ordering: .relaxed)
            // A job that was handed out by a scheduler that has died since would be delivered twice.
            guard let line, !writer.hasLostReader else { return }
            if waiting.load(ordering: .relaxed) == 0 { startThread(agent) }
            handle(line, agent)
        }
    }

    private func startThread(_ agent: any TransportAgent) {
        threads.withLock { threads in
            guard threads.started < options.maximumJobs else { return }
            var attributes = pthread_attr_t()
            pthread_attr_init(&attributes)
            pthread_attr_setstacksize(&attributes, Self.stackSize)
            defer { pthread_attr_destroy(&attributes) }
            let body = Unmanaged.passRetained(ThreadBody { self.work(agent) })
            var thread = pthread_t()
            guard pthread_create(&thread, &attributes, { runThread($0) }, body.toOpaque()) == 0 else {
                // The threads there are do the work, more slowly.
                body.release()
                return
            }
            threads.started += 1
            threads.unjoined.append(thread)
        }
    }

    private func handle(_ line: String, _ agent: any TransportAgent) {
        let output = JobOutput(writer: writer, agentID: agentID, observer: observer)
        switch AgentJob(line: line) {
        case .idle?: return
        case .deliver(let file, let host, let limits)?: deliver(file, host: host, limits, agent, output)
        case nil: output.send(.remark("#unreadable job: \(ReportText.cleaned(line, maximumLength: 200))"))
        }
        // The credit goes back with the last reports: one write for both.
        output.send(.hungry)
        output.flush()
    }

    private func deliver(
        _ file: SpoolID, host: String?, _ limits: AgentJobLimits, _ agent: any TransportAgent, _ output: JobOutput
    ) {
        let control: ControlFile
        do {
            control = try ControlFile.parse(
                try ReadFile.contents(of: "\(options.controlDirectory)/\(file)", limit: Self.maximumControlFile))
        } catch {
            // Torn, gone or unreadable: the scheduler reads it again and decides.
            output.send(.remark("#\(file): \(ReportText.cleaned(String(describing: error), maximumLength: 300))"))
            output.send(.resync(file))
            return
        }
        let (jobHost, recipients) = options.selection.select(from: control, host: host, isAlive: Self.isAlive)
        guard !recipients.isEmpty else {
            output.send(.resync(file))
            return
        }
        do throws(FileError) {
            let message = try ReadFile("\(options.queueDirectory)/\(control.id)")
            guard message.size >= control.messageSize else {
                throw FileError(call: "shorter than when it was routed:", path: "\(control.id)", code: EIO)
            }
            let job = DeliveryJob(
                control: control, host: jobHost, recipients: withinTheirTime(recipients, control, output),
                content: MessageContent(message, control: control), limits: limits, output: output)
            if job.recipients.isEmpty { return }
            agent.deliver(job)
            job.close()
        } catch  where error.isMissing {
            // Trouble of the spool is never a reason to return mail: the scheduler looks itself and tells the postmaster.
            output.send(.remark("#\(file): message file is missing(!) \(error)"))
            output.send(.resync(file))
        } catch {
            let result = RecipientResult.deferred(status: "4.3.0", text: "message file cannot be read: \(error)")
            for recipient in recipients { output.report(recipient, of: control, result, relay: "-") }
        }
    }

    /// A job may have waited here until it was too late: then there is no attempt (RFC 2852 §4.1.3).
    private func withinTheirTime(
        _ recipients: [JobRecipient], _ control: ControlFile, _ output: JobOutput
    ) -> [JobRecipient] {
        let now = Int64(time(nil))
        return recipients.filter { recipient in
            guard let deliverBy = recipient.recipient.deliverBy, deliverBy.mode == .return, deliverBy.time <= now else {
                return true
            }
            let text = "the time in which it was to be delivered has passed"
            output.report(recipient, of: control, .failed(status: "5.4.7", text: text), relay: "-")
            return false
        }
    }

    private static func isAlive(_ pid: Int) -> Bool {
        guard let pid = pid_t(exactly: pid), pid > 0 else { return false }
        return kill(pid, 0) == 0 || errno == EPERM
    }
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

private func runThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().run()
    return nil
}
