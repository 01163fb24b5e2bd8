import Foundation

/// The Maildir of one user of an instance.
struct Maildir {
    let path: String

    /// Paths of the messages in `new` and `cur`.
    var files: [String] {
        ["new", "cur"].flatMap { folder in
            let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(path)/\(folder)")) ?? []
            return names.filter { !$0.hasPrefix(".") }.sorted().map { "\(path)/\(folder)/\($0)" }
        }
    }
    var count: Int { files.count }
    var messages: [[UInt8]] { files.compactMap { FileManager.default.contents(atPath: $0).map { Array($0) } } }
    var texts: [String] { messages.map { String(decoding: $0, as: UTF8.self) } }
    /// Deliveries that have begun and are not done.
    var unfinished: Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "\(path)/tmp").count) ?? 0
    }
}
