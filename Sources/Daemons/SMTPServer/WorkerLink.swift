import ChildProcesses
import Glibc
import TransportSecurity

/// The socket between master and worker on which keys and certificates travel: length, then a ``TLSBundle``.
enum WorkerLink {
    /// Milliseconds that the other side may take nothing.
    private static let deadline: Int32 = 5000
    private static let maximumLength = 64 << 20

    struct Broken: Error, CustomStringConvertible {
        let description: String
    }

    /// The worker reads as soon as it runs.
    static func send(_ bundle: TLSBundle, to descriptor: Int32) throws(Broken) {
        let content = bundle.encoded()
        var octets: [UInt8] = []
        octets.reserveCapacity(content.count + 4)
        TLSBundle.append(UInt32(content.count), to: &octets)
        octets += content
        var done = 0
        while done < octets.count {
            let count = octets.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress?.advanced(by: done), $0.count - done, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                done += count
            } else if errno == EAGAIN {
                try wait(descriptor, Int16(POLLOUT))
            } else if errno != EINTR {
                throw Broken(description: String(cString: strerror(errno)))
            }
        }
    }

    /// The next bundle; waits for it.
    static func receive(from descriptor: Int32) throws(Broken) -> TLSBundle {
        var head = try read(4, from: descriptor)[...]
        guard let length = TLSBundle.number(&head), length <= maximumLength else {
            throw Broken(description: "a length that cannot be")
        }
        do {
            return try TLSBundle(octets: try read(Int(length), from: descriptor))
        } catch let error as Broken {
            throw error
        } catch {
            throw Broken(description: "what the master sent cannot be read")
        }
    }

    private static func read(_ count: Int, from descriptor: Int32) throws(Broken) -> [UInt8] {
        var octets = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = octets.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress?.advanced(by: done), $0.count - done)
            }
            if got > 0 {
                done += got
            } else if got == 0 {
                throw Broken(description: "the master has closed it")
            } else if errno == EAGAIN {
                try wait(descriptor, Int16(POLLIN))
            } else if errno != EINTR {
                throw Broken(description: String(cString: strerror(errno)))
            }
        }
        return octets
    }

    private static func wait(_ descriptor: Int32, _ events: Int16) throws(Broken) {
        var entry = pollfd(fd: descriptor, events: events, revents: 0)
        let ready = poll(&entry, 1, deadline)
        if ready == 0 { throw Broken(description: "the other side does nothing") }
    }
}
