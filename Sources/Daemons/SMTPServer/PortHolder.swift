import Glibc
import ProgramKit

/// Who listens on a port, found in /proc: for the error text when it is not ours.
enum PortHolder {
    /// `name (pid N)`; `nil` if it cannot be found, as for processes of other users.
    static func name(port: Int) -> String? {
        let inodes = listeners(port)
        guard !inodes.isEmpty else { return nil }
        for pid in entries("/proc") where pid.utf8.allSatisfy({ (48...57).contains($0) }) {
            for descriptor in entries("/proc/\(pid)/fd") {
                guard let target = link("/proc/\(pid)/fd/\(descriptor)"), inodes.contains(target) else { continue }
                let name = text("/proc/\(pid)/comm").prefix { $0 != "\n" }
                return "\(name), pid \(pid)"
            }
        }
        return nil
    }

    /// `socket:[inode]` of all listening sockets with this port.
    private static func listeners(_ port: Int) -> Set<String> {
        let hex = String(port, radix: 16, uppercase: true)
        let suffix = ":" + String(repeating: "0", count: max(0, 4 - hex.count)) + hex
        var inodes: Set<String> = []
        for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
            for line in text(file).split(separator: "\n").dropFirst() {
                let fields = line.split(separator: " ")
                // Local address, …, state 0A is LISTEN, …, inode.
                if fields.count > 9, fields[1].hasSuffix(suffix), fields[3] == "0A" {
                    inodes.insert("socket:[\(fields[9])]")
                }
            }
        }
        return inodes
    }

    private static func text(_ path: String) -> String {
        do throws(FileOctets.Failure) {
            return String(decoding: try FileOctets.read(path, limit: 16 << 20), as: UTF8.self)
        } catch {
            return ""  // The process is gone, or not ours to look at.
        }
    }

    private static func entries(_ path: String) -> [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names
    }

    private static func link(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = buffer.withUnsafeMutableBytes { octets in
            octets.withMemoryRebound(to: CChar.self) { readlink(path, $0.baseAddress!, $0.count) }
        }
        return count > 0 ? String(decoding: buffer[0..<count], as: UTF8.self) : nil
    }
}
