import Glibc

/// By which a file that was changed or replaced is known.
public struct FileSignature: Equatable {
    let device: UInt
    let inode: UInt
    let size: Int
    let modified: timespec
    /// Shows a change of mode or owner too, which decides about privileges.
    let changed: timespec

    public init(_ info: stat) {
        device = UInt(info.st_dev)
        inode = UInt(info.st_ino)
        size = Int(info.st_size)
        modified = info.st_mtim
        changed = info.st_ctim
    }

    public static func == (left: Self, right: Self) -> Bool {
        left.device == right.device && left.inode == right.inode && left.size == right.size
            && left.modified.tv_sec == right.modified.tv_sec && left.modified.tv_nsec == right.modified.tv_nsec
            && left.changed.tv_sec == right.changed.tv_sec && left.changed.tv_nsec == right.changed.tv_nsec
    }

    public enum Found: Equatable {
        case there(FileSignature)
        case missing
        case failure(Int32)
    }

    public static func of(_ path: String) -> Found {
        var info = stat()
        if stat(path, &info) == 0 { return .there(FileSignature(info)) }
        return errno == ENOENT ? .missing : .failure(errno)
    }
}
