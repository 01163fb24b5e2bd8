import AgentProtocol
import ChildProcesses
import Configuration
import Glibc
import Scheduling
import SpoolFormat

/// A running agent and its three pipes. Confined to the loop's thread.
final class AgentProcess {
    let number: Int
    let name: String
    let child: ChildProcess
    private var input: Int32
    private var output: Int32
    private var errors: Int32
    private let poller: Poller
    private let host: any AgentHost
    private var buffer = OutputBuffer()
    private var isWaitingForInput = false
    private var closesInput = false
    private var lines = LineSplitter(maximumLineLength: maximumReport)
    private var remarks = LineSplitter(maximumLineLength: 1024)
    var remarkLimit = RemarkLimit()
    /// In the list of those whose buffer is to be written at the end of the turn.
    var isPending = false

    /// Octets of one line of an agent.
    static let maximumReport = 16384

    init(
        number: Int, name: String, request: ChildRequest, niceness: SchedulerNiceness?, poller: Poller,
        host: any AgentHost
    ) throws(SpawnError) {
        guard let toChild = Descriptor.pipe() else { throw SpawnError(path: request.path, code: errno) }
        guard let fromChild = Descriptor.pipe() else {
            let code = errno
            for end in [toChild.read, toChild.write] { close(end) }
            throw SpawnError(path: request.path, code: code)
        }
        guard let errorsOfChild = Descriptor.pipe() else {
            let code = errno
            for end in [toChild.read, toChild.write, fromChild.read, fromChild.write] { close(end) }
            throw SpawnError(path: request.path, code: code)
        }
        var request = request
        request.descriptors = [toChild.read, fromChild.write, errorsOfChild.write]
        defer { for end in [toChild.read, fromChild.write, errorsOfChild.write] { close(end) } }
        do throws(SpawnError) {
            child = try ChildProcess.spawn(request)
        } catch {
            for end in [toChild.write, fromChild.read, errorsOfChild.read] { close(end) }
            throw error
        }
        self.number = number
        self.name = name
        self.poller = poller
        self.host = host
        input = toChild.write
        output = fromChild.read
        errors = errorsOfChild.read
        for descriptor in [input, output, errors] { Descriptor.setNonblocking(descriptor) }
        if let niceness { setNiceness(niceness) }
        poller.add(output, .read) { [unowned self] _ in readOutput() }
        poller.add(errors, .read) { [unowned self] _ in readErrors() }
        poller.add(child.descriptor, .read) { [unowned self] _ in reap() }
    }

    private func setNiceness(_ niceness: SchedulerNiceness) {
        let value: Int32
        switch niceness {
        case .absolute(let number): value = Int32(number)
        case .relative(let number): value = getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) + Int32(number)
        }
        _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), id_t(child.pid), max(-20, min(19, value)))
    }

    // MARK: Writing

    /// Goes out with ``flush()``, once a turn.
    func send(_ job: AgentJob) {
        guard input >= 0, !closesInput else { return }
        buffer.append(job.line)
        buffer.append("\n")
    }

    func closeInput() { closesInput = true }

    func flush() {
        guard input >= 0, !isWaitingForInput else { return }
        switch buffer.write(to: input) {
        case .done: if closesInput { dropInput() }
        case .full:
            isWaitingForInput = true
            poller.add(input, .write) { [unowned self] _ in
                poller.remove(input)
                isWaitingForInput = false
                flush()
            }
        case .closed: dropInput()
        }
    }

    private func dropInput() {
        guard input >= 0 else { return }
        if isWaitingForInput { poller.remove(input) }
        close(input)
        input = -1
    }

    // MARK: Reading

    private func readOutput() {
        // One that never stops talking must not keep the loop from the others; what a dead one has left is less than that.
        for _ in 0..<16 {
            let count = host.fillBuffer(from: output)
            guard count > 0 else {
                if count == 0 || errno != EAGAIN && errno != EINTR { drop(&output) }
                return
            }
            lines.append(host.filled(count)) { host.agent(number, wrote: AgentMessage(line: $0)) }
            if count < SchedulerLoop.bufferSize { return }
        }
    }

    private func readErrors() {
        let count = host.fillBuffer(from: errors)
        guard count > 0 else {
            if count == 0 || errno != EAGAIN && errno != EINTR { drop(&errors) }
            return
        }
        remarks.append(host.filled(count)) { host.agent(number, complained: $0) }
    }

    private func drop(_ descriptor: inout Int32) {
        guard descriptor >= 0 else { return }
        poller.remove(descriptor)
        close(descriptor)
        descriptor = -1
    }

    /// What it has written before its end is still taken.
    private func reap() {
        guard let exit = child.reap() else { return }
        if output >= 0 { readOutput() }
        if errors >= 0 { readErrors() }
        shutDown()
        host.agentEnded(number, exit)
    }

    /// Lets go of all descriptors.
    func shutDown() {
        poller.remove(child.descriptor)
        dropInput()
        drop(&output)
        drop(&errors)
    }
}

/// Who takes what agents say.
protocol AgentHost: AnyObject {
    /// One read into the shared buffer; as read(2).
    func fillBuffer(from descriptor: Int32) -> Int
    func filled(_ count: Int) -> UnsafeRawBufferPointer
    func agent(_ number: Int, wrote message: AgentMessage)
    func agent(_ number: Int, complained text: String)
    func agentEnded(_ number: Int, _ exit: ChildProcess.Exit)
}
