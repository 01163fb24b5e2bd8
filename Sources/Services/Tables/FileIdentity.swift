import Glibc

/// By which a file that was replaced or changed is known.
struct FileIdentity: Equatable {
    let device: UInt
    let inode: UInt
    let size: Int
    private let seconds: Int
    private let nanoseconds: Int

    init(_ info: stat) {
        device = UInt(info.st_dev)
        inode = UInt(info.st_ino)
        size = Int(info.st_size)
        seconds = info.st_mtim.tv_sec
        nanoseconds = info.st_mtim.tv_nsec
    }
}
