import CPosix
import ChildProcesses
import Glibc

/// A connection to smtpserver's `submission-socket`. Blocks, with deadlines.
final class SubmissionStream {
    let path: String
    private let descriptor: Int32
    /// What has come and was not taken yet.
    private var inbound: [UInt8] = []
    private var isAtEnd = false
    /// Told what goes out and what comes in: `true` for ours.
    private let witness: ((Bool, [UInt8]) -> Void)?

    init(_ path: String, witness: ((Bool, [UInt8]) -> Void)?) throws(SubmissionFailure) {
        self.path = path
        self.witness = witness
        descriptor = cposix_unix_connect(SocketPath.reachable(path), Int32(SOCK_STREAM.rawValue), 1)
        guard descriptor >= 0 else { throw .unreachable(path: path, code: errno) }
    }

    deinit { close(descriptor) }

    /// The next octets; none at the end.
    func read(seconds: Int64) throws(SubmissionFailure) -> [UInt8] {
        let end = SteadyClock.milliseconds + seconds * 1000
        while inbound.isEmpty, !isAtEnd {
            try wait(POLLIN, until: end, seconds)
            try readNow()
        }
        let octets = inbound
        inbound = []
        return octets
    }

    private func readNow() throws(SubmissionFailure) {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count > 0 {
            inbound += buffer[..<count]
            witness?(false, Array(buffer[..<count]))
        } else if count == 0 || errno == ECONNRESET {
            isAtEnd = true
        } else if errno != EAGAIN, errno != EINTR {
            throw .lost(String(cString: strerror(errno)))
        }
    }

    /// `false`: the server takes no more; what it has said about that can be read.
    func write(_ octets: [UInt8], seconds: Int64, isContent: Bool = false) throws(SubmissionFailure) -> Bool {
        if !isContent { witness?(true, octets) }
        var end = SteadyClock.milliseconds + seconds * 1000
        var sent = 0
        while sent < octets.count {
            let count = octets.withUnsafeBytes {
                send(descriptor, $0.baseAddress?.advanced(by: sent), $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
                end = SteadyClock.milliseconds + seconds * 1000
            } else if errno == EPIPE || errno == ECONNRESET {
                return false
            } else if errno == EAGAIN {
                // A server may answer before it has read all.
                try wait(isAtEnd ? POLLOUT : POLLOUT | POLLIN, until: end, seconds)
                if !isAtEnd { try readNow() }
            } else if errno != EINTR {
                throw .lost(String(cString: strerror(errno)))
            }
        }
        return true
    }

    private func wait(_ events: Int32, until end: Int64, _ seconds: Int64) throws(SubmissionFailure) {
        while true {
            let left = end - SteadyClock.milliseconds
            guard left > 0 else { throw .lost("no answer within \(seconds) seconds") }
            var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
            if poll(&entry, 1, Int32(clamping: left)) > 0 { return }
        }
    }

    /// Carries octets between standard input and output and the server until the server closes.
    func relay(input: Int32, output: Int32) throws(SubmissionFailure) {
        var isInputOpen = true
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        // Each round begins with what has come, also while we wrote: the server's last words are among it.
        while forward(to: output), !isAtEnd {
            var entries = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)]
            if isInputOpen { entries.append(pollfd(fd: input, events: Int16(POLLIN), revents: 0)) }
            guard poll(&entries, nfds_t(entries.count), -1) > 0 else { continue }
            if entries[0].revents != 0 {
                try readNow()
                continue
            }
            guard isInputOpen, entries[1].revents != 0 else { continue }
            let count = Glibc.read(input, &buffer, buffer.count)
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            if count > 0 {
                do throws(SubmissionFailure) {
                    isInputOpen = try write(Array(buffer[..<count]), seconds: SubmissionClient.dataDeadline)
                } catch {
                    _ = forward(to: output)
                    throw error
                }
            } else {
                isInputOpen = false
                shutdown(descriptor, Int32(SHUT_WR))
            }
        }
    }

    /// `false`: nobody reads there any more.
    private func forward(to output: Int32) -> Bool {
        let octets = inbound
        inbound = []
        var done = 0
        while done < octets.count {
            let count = octets.withUnsafeBytes {
                Glibc.write(output, $0.baseAddress?.advanced(by: done), $0.count - done)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }
}
