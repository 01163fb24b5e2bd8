import Glibc

/// A file with log lines.
struct LogSource: Hashable {
    let path: String
    /// Octets on the disk.
    let size: Int
    /// When it was last written, milliseconds since 1970: it holds nothing younger.
    let modified: Int64
    let isCompressed: Bool

    /// `nil` with errno set: there is no such file, or it is none.
    init?(_ path: String) {
        var information = stat()
        guard stat(path, &information) == 0 else { return nil }
        guard information.st_mode & S_IFMT == S_IFREG else {
            errno = EINVAL
            return nil
        }
        self.path = path
        size = Int(information.st_size)
        modified = Int64(information.st_mtim.tv_sec) * 1000 + Int64(information.st_mtim.tv_nsec) / 1_000_000
        isCompressed = path.hasSuffix(".gz")
    }

    /// All regular files of a folder, rotated ones too; what is compressed in a way that we cannot read goes to `unread`. Newest first.
    static func all(in folder: String, unread: inout [String]) -> [LogSource] {
        var sources: [LogSource] = []
        for name in ProcFile.names(in: folder).sorted() where !name.hasPrefix(".") {
            let path = "\(folder)/\(name)"
            if [".xz", ".zst", ".bz2", ".Z"].contains(where: name.hasSuffix) {
                unread.append("\(path): compressed; only .gz is read")
            } else if let source = LogSource(path) {
                sources.append(source)
            }
        }
        return newestFirst(sources)
    }

    static func newestFirst(_ sources: [LogSource]) -> [LogSource] {
        sources.sorted { ($0.modified, $1.path) > ($1.modified, $0.path) }
    }
}
