import Glibc
import SpoolFormat

/// Which targets of one recipient's `.forward` are done, while others are tried again: a file in `$POSTOFFICE/.forward`, made only
/// when it is needed: behind a program that has others behind it, and when something has to be tried again. Without it (it cannot
/// be made, it is lost) what was done is done once more.
struct ForwardProgress {
    private let path: String
    private let directory: String
    private(set) var done: [String: PartResult] = [:]
    private var isStored = false

    enum PartResult: Hashable {
        case succeeded
        case failed(status: String, text: String)
    }

    /// Octets: an outcome a line, at most a hundred.
    private static let maximumSize = 256 * 1024
    /// Seconds after which nobody asks any more: twice the longest expiry in use.
    private static let maximumAge = 14 * 86_400

    init(root: String, id: SpoolID, offset: Int) {
        directory = "\(root)/.forward"
        path = "\(directory)/\(id).\(offset)"
    }

    /// What an earlier attempt has left.
    mutating func read() {
        guard let file = try? OpenFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
            let octets = try? file.contents(limit: Self.maximumSize)
        else { return }
        isStored = true
        for line in octets.split(separator: 0x0a) {
            let words = String(decoding: line, as: UTF8.self).split(
                separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
            guard words.count == 3 else { continue }
            done[String(words[0])] =
                words[1] == "-" ? .succeeded : .failed(status: String(words[1]), text: String(words[2]))
        }
    }

    mutating func note(_ part: String, _ result: PartResult) { done[Self.key(part)] = result }
    func result(of part: String) -> PartResult? { done[Self.key(part)] }

    /// Replaces the file in one step. A failure costs a second copy at most, and never this attempt.
    mutating func write() {
        isStored = true
        mkdir(directory, 0o700)
        let text = done.sorted { $0.key < $1.key }.map { key, result in
            switch result {
            case .succeeded: "\(key) - \n"
            case .failed(let status, let text): "\(key) \(status) \(TraceFields.clean(text))\n"
            }
        }
        let temporary = "\(path).new"
        do {
            let file = try OpenFile(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW)
            try file.write(text.joined())
            if rename(temporary, path) != 0 { unlink(temporary) }
        } catch {
            unlink(temporary)
        }
    }

    func remove() { if isStored { unlink(path) } }

    /// What messages have left that were removed meanwhile.
    static func removeOld(root: String, now: Int) {
        guard let stream = opendir("\(root)/.forward") else { return }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            var information = stat()
            let path = "\(root)/.forward/\(name)"
            guard lstat(path, &information) == 0, information.st_mode & S_IFMT == S_IFREG,
                information.st_mtim.tv_sec < now - maximumAge
            else { continue }
            unlink(path)
        }
    }

    /// FNV-1a, 64 bits: what a target says is its user's business.
    private static func key(_ part: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for octet in part.utf8 { hash = (hash ^ UInt64(octet)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16)
    }
}
