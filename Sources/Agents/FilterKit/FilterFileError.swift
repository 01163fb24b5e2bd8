import Glibc
import SpoolFormat

/// A message file that cannot be read.
public enum FilterFileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// `code` is `errno`.
    case system(call: String, path: String, code: Int32)
    case notRegular(String)
    case envelope(path: String, MessageFileError)

    public var description: String {
        switch self {
        case .system(let call, let path, let code): "\(call) \(path): \(String(cString: strerror(code)))"
        case .notRegular(let path): "\(path): not a regular file"
        case .envelope(let path, let error): "\(path): \(error)"
        }
    }
}
