import CPosix
import Glibc

/// Memory that a process shares with a child it starts, and that is still there when the child is not.
///
/// Sound as `@unchecked Sendable`: the mapping lives as long as the object; who writes where is agreed on by its users, and what is
/// read of a process that has crashed is octets, whatever they are.
public final class SharedMemory: @unchecked Sendable {
    /// To be handed to the child; owned by this object.
    public let descriptor: Int32
    public let octets: UnsafeMutableRawBufferPointer

    public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        public let code: Int32
        public var description: String { "shared memory: \(String(cString: strerror(code)))" }
    }

    /// New memory, all zero.
    public convenience init(size: Int) throws(Failure) {
        // A child that made it smaller could bring its parent down, who reads it.
        let descriptor = cposix_memory_file("shared", size)
        guard descriptor >= 0 else { throw Failure(code: errno) }
        try self.init(descriptor: descriptor, size: size)
    }

    /// What was inherited; the descriptor is this object's from now on.
    public init(descriptor: Int32, size: Int) throws(Failure) {
        guard let start = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), start != MAP_FAILED else {
            let code = errno
            close(descriptor)
            throw Failure(code: code)
        }
        self.descriptor = descriptor
        octets = UnsafeMutableRawBufferPointer(start: start, count: size)
    }

    deinit {
        munmap(octets.baseAddress, octets.count)
        close(descriptor)
    }
}
