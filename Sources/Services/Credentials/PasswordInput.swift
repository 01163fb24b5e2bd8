import CPosix
import Glibc
import SASL

/// Reads a new password: twice and unseen from a terminal, else the first line of what comes.
struct PasswordInput {
    let descriptor: Int32
    /// Where the prompts go; standard output is for the result.
    let prompts: Int32

    enum Trouble: Error, Hashable, CustomStringConvertible {
        case empty
        case tooLong
        case controlCharacter
        case different
        case interrupted
        case system(what: String, code: Int32)

        var description: String {
            switch self {
            case .empty: "the password is empty"
            case .tooLong: "the password is longer than \(Password.lengths.upperBound) octets"
            case .controlCharacter: "the password holds a control character"
            case .different: "that was another password"
            case .interrupted: "interrupted"
            case .system(let what, let code): "\(what): \(String(cString: strerror(code)))"
            }
        }
    }

    func password() throws(Trouble) -> Secret {
        guard isatty(descriptor) == 1 else { return try line(signals: nil) }
        let terminal = try SilentTerminal(descriptor)
        let first = try prompted("Password: ", terminal)
        let second = try prompted("Once more: ", terminal)
        guard first == second else { throw .different }
        return first
    }

    private func prompted(_ prompt: String, _ terminal: borrowing SilentTerminal) throws(Trouble) -> Secret {
        _ = write(prompts, prompt, prompt.utf8.count)
        // The user's own end of the line is not shown either.
        defer { _ = write(prompts, "\n", 1) }
        return try line(signals: terminal.signals)
    }

    private func line(signals: Int32?) throws(Trouble) -> Secret {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Password.lengths.upperBound + 2, alignment: 1)
        defer { buffer.wipeAndDeallocate() }
        var count = 0
        while count < buffer.count {
            var entries = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: signals ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            if poll(&entries, 2, -1) < 0, errno != EINTR { throw .system(what: "poll", code: errno) }
            if entries[1].revents != 0 { throw .interrupted }
            guard entries[0].revents != 0 else { continue }
            // Octet by octet: what stands behind the line is somebody else's.
            let got = read(descriptor, buffer.baseAddress?.advanced(by: count), 1)
            if got < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                throw .system(what: "reading the password", code: errno)
            }
            if got == 0 || buffer[count] == 0x0a { break }
            count += 1
        }
        if count > 0, buffer[count - 1] == 0x0d { count -= 1 }
        let octets = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        guard count > 0 else { throw .empty }
        guard Password.lengths.contains(count) else { throw .tooLong }
        guard octets.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else { throw .controlCharacter }
        return Secret(octets)
    }
}

/// A terminal that does not show what is typed, for as long as this is kept; signals that would end us meanwhile wait in ``signals``.
struct SilentTerminal: ~Copyable {
    /// Readable when one has come.
    let signals: Int32
    private let descriptor: Int32
    private let before: termios

    init(_ descriptor: Int32) throws(PasswordInput.Trouble) {
        var settings = termios()
        guard tcgetattr(descriptor, &settings) == 0 else { throw .system(what: "terminal", code: errno) }
        let before = settings
        let caught = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP]
        let signals = cposix_signalfd(caught, Int32(caught.count))
        guard signals >= 0 else { throw .system(what: "signalfd", code: errno) }
        settings.c_lflag &= ~tcflag_t(ECHO | ECHOE | ECHOK | ECHONL)
        guard tcsetattr(descriptor, TCSAFLUSH, &settings) == 0 else {
            let code = errno
            close(signals)
            throw .system(what: "terminal", code: code)
        }
        self.descriptor = descriptor
        self.signals = signals
        self.before = before
    }

    deinit {
        var before = before
        tcsetattr(descriptor, TCSAFLUSH, &before)
        close(signals)
    }
}
