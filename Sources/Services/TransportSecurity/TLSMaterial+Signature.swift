import Glibc

extension TLSMaterial {
    /// Changes when one of the files changes or comes or goes, so that a poller sees a rotation of keys.
    public struct Signature: Hashable, Sendable {
        fileprivate let files: [FileState]
    }

    fileprivate struct FileState: Hashable, Sendable {
        let path: String
        /// 0 if there is a file, else why it cannot be looked at.
        var code: Int32 = 0
        var device: UInt = 0
        var inode: UInt = 0
        var size = 0
        var modified = 0
        var modifiedNanoseconds = 0
        var changed = 0
        var changedNanoseconds = 0
    }

    /// Take it before ``read(_:)``: what changes in between is then seen at the next look. (A ticket key that `read` makes is such
    /// a change.)
    public static func signature(of files: Files) -> Signature {
        var paths: [String] = []
        for pair in [files.pair, files.secondPair].compactMap(\.self) + files.namedPairs {
            paths.append(pair.certificate)
            if pair.key != pair.certificate { paths.append(pair.key) }
        }
        paths += [files.authorities, files.ticketKey].compactMap(\.self) + files.dhParameters
        return Signature(files: paths.map(state))
    }

    private static func state(_ path: String) -> FileState {
        var state = FileState(path: path)
        var info = stat()
        guard stat(path, &info) == 0 else {
            state.code = errno
            return state
        }
        state.device = UInt(info.st_dev)
        state.inode = UInt(info.st_ino)
        state.size = Int(info.st_size)
        state.modified = info.st_mtim.tv_sec
        state.modifiedNanoseconds = info.st_mtim.tv_nsec
        state.changed = info.st_ctim.tv_sec
        state.changedNanoseconds = info.st_ctim.tv_nsec
        return state
    }
}
