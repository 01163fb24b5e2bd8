import Glibc

/// By what a file is known again: two looks that find the same mark have seen the same file in the same state.
struct FileMark: Hashable, Sendable {
    let device: UInt
    let inode: UInt
    let size: Int
    /// Of the last change of content, names, owner or mode.
    let changedSeconds: Int
    let changedNanoseconds: Int
    let isRegular: Bool
    let links: Int
    let owner: uid_t
    let mode: mode_t

    /// `nil`: there is no such name.
    init?(_ path: String) {
        var info = stat()
        guard lstat(path, &info) == 0 else { return nil }
        device = UInt(info.st_dev)
        inode = UInt(info.st_ino)
        size = Int(info.st_size)
        changedSeconds = info.st_ctim.tv_sec
        changedNanoseconds = info.st_ctim.tv_nsec
        isRegular = info.st_mode & S_IFMT == S_IFREG
        links = Int(info.st_nlink)
        owner = info.st_uid
        mode = info.st_mode & 0o7777
    }

    func isSameFile(as other: FileMark) -> Bool { inode == other.inode && device == other.device }
}
