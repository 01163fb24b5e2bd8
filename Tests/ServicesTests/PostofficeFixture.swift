import Glibc
import Postoffice
import SpoolFormat
import Testing

/// A POSTOFFICE of one test, removed with it.
final class PostofficeFixture {
    let postoffice: Postoffice

    init() throws {
        var template = Array("/tmp/postoffice-XXXXXX".utf8CString)
        let path = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
        }
        postoffice = try Postoffice("\(try #require(path))/po", creating: true)
    }

    deinit {
        for directory in SpoolDirectory.allCases {
            for name in names(directory) { unlink("\(postoffice.root)/\(directory.rawValue)/\(name)") }
            rmdir("\(postoffice.root)/\(directory.rawValue)")
        }
        rmdir(postoffice.root)
        rmdir(String(postoffice.root.dropLast(3)))
    }

    func names(_ directory: SpoolDirectory) -> [String] {
        var names: [String] = []
        do throws(PostofficeError) {
            try postoffice.forEachEntry(directory) { name in
                names.append(name)
                return true
            }
        } catch {
            Issue.record("\(error)")
        }
        return names.sorted()
    }

    /// The directories that hold a file of this message.
    func places(_ id: SpoolID) -> [SpoolDirectory] {
        SpoolDirectory.allCases.filter { names($0).contains("\(id)") }
    }
}
