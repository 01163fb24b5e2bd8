import CPosix
import ChildProcesses
import Glibc
import MailModel

/// A program that is running: takes what it writes, waits for its end, and leaves nothing of its process group behind.
struct PipeRun {
    let child: ChildProcess
    let output: DescriptorPair

    /// Octets of its output that are kept, for the first line.
    private static let maximumOutput = 300

    /// `nil`: it had to be killed, for taking too long or because nobody waits for it any more.
    func finish(milliseconds: Int64, _ cancellation: Cancellation?) -> (ChildProcess.Exit?, output: String) {
        _ = cposix_set_nonblocking(output.reader, 1)
        let deadline = cposix_monotonic_milliseconds() + milliseconds
        var kept: [UInt8] = []
        var isOpen = true
        var exit: ChildProcess.Exit?
        while exit == nil {
            let left = deadline - cposix_monotonic_milliseconds()
            guard left > 0 else { break }
            // poll(2) passes over a negative one.
            var entries = [
                pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: isOpen ? output.reader : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: cancellation?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            _ = poll(&entries, 3, Int32(clamping: left))
            if entries[2].revents != 0 { break }
            if isOpen, entries[1].revents != 0 { isOpen = take(&kept) }
            if entries[0].revents != 0 {
                endGroup()
                exit = child.reap()
            }
        }
        if isOpen { _ = take(&kept) }
        if exit == nil {
            endGroup()
            // The kernel ends it now; only a process in uninterruptible sleep would make us wait.
            _ = child.wait(milliseconds: 5000)
        }
        return (exit, Self.firstLine(kept))
    }

    /// What it started may still run. Its own pid is nobody else's while it is not reaped.
    private func endGroup() { kill(-child.pid, SIGKILL) }

    /// What is there, up to a pipe's content; a flood is taken so that the program does not stop, and not kept. `false`: the end.
    private func take(_ kept: inout [UInt8]) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 4096)
        for _ in 0..<16 {
            let count = read(output.reader, &buffer, buffer.count)
            if count == 0 { return false }
            if count < 0 { return errno == EAGAIN || errno == EINTR }
            kept.append(contentsOf: buffer[..<min(count, Self.maximumOutput - kept.count)])
        }
        return true
    }

    private static func firstLine(_ octets: [UInt8]) -> String {
        let line = octets.drop { $0 == 0x0a || $0 == 0x0d || $0 == 0x20 }.prefix { $0 != 0x0a && $0 != 0x0d }
        return Octets.cleaned(String(decoding: line, as: UTF8.self))
    }
}
