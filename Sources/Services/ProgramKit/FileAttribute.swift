import CPosix
import Glibc

/// One extended attribute of open files (xattr(7)), `user.NAME`: a note that goes with the file and not with its content.
public struct FileAttribute: Hashable, Sendable {
    /// With its `user.`.
    public let name: String

    /// Octets of a value: more is not read. Every file system that has attributes at all takes so many.
    public static let maximumSize = 2048

    public init(_ name: String) { self.name = "user.\(name)" }

    /// `nil`: there is none, or none that can be read.
    public func read(_ descriptor: Int32) -> [UInt8]? {
        var value = [UInt8](repeating: 0, count: Self.maximumSize)
        let count = cposix_get_attribute(descriptor, name, &value, value.count)
        return count >= 0 ? Array(value[..<count]) : nil
    }

    /// 0 or `errno`: ENOTSUP where the file system has no attributes.
    public func write(_ value: [UInt8], to descriptor: Int32) -> Int32 {
        cposix_set_attribute(descriptor, name, value, value.count) == 0 ? 0 : errno
    }

    /// 0 or `errno`: ENODATA where there is none.
    public func remove(from descriptor: Int32) -> Int32 {
        cposix_remove_attribute(descriptor, name) == 0 ? 0 : errno
    }
}
