import Glibc
import Postoffice

/// What lies in `postman/`, for how long, and its end where an operator has set one.
public struct PostmanFolder: Hashable, Sendable {
    public var files = 0
    public var octets = 0
    /// Seconds since the last change of the oldest; 0 if there is none.
    public var oldestAge: Int64 = 0
    /// Names that were removed.
    public var removed: [String] = []

    /// - Parameter maximumAge: seconds; `nil`: nothing is removed.
    public static func look(
        _ postoffice: Postoffice, maximumAge: Int64?, now: Int64
    ) throws(PostofficeError) -> PostmanFolder {
        var folder = PostmanFolder()
        var old: [(name: String, mark: FileMark)] = []
        try postoffice.forEachEntry(.postman) { name in
            // What is no file is a person's, who knows why.
            guard let mark = FileMark("\(postoffice.root)/postman/\(name)"), mark.isRegular else { return true }
            let age = max(0, now - Int64(mark.changedSeconds))
            if let maximumAge, age > maximumAge {
                old.append((name, mark))
            } else {
                folder.files += 1
                folder.octets += mark.size
                folder.oldestAge = max(folder.oldestAge, age)
            }
            return true
        }
        for (name, mark) in old {
            let limit = Int64(mark.changedSeconds) + 1
            if try postoffice.removeFile(name, in: .postman, inode: mark.inode, before: limit) {
                folder.removed.append(name)
            }
        }
        return folder
    }
}
