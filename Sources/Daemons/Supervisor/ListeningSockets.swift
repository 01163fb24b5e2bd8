import Glibc

/// The TCP addresses on which a process listens, as the kernel knows them (proc(5)): true whatever configuration led to them.
enum ListeningSockets {
    /// `127.0.0.1:2525`, `[::1]:2525`; of `pid` and, if it can be read, nothing else. Sorted.
    static func addresses(of pid: pid_t) -> [String] {
        let inodes = socketInodes(of: pid)
        guard !inodes.isEmpty else { return [] }
        var result: [String] = []
        for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
            result += parse(ProcFile.read(file)).filter { inodes.contains($0.inode) }.map { $0.address }
        }
        return result.sorted()
    }

    private static func socketInodes(of pid: pid_t) -> Set<String> {
        let folder = "/proc/\(pid)/fd"
        var inodes: Set<String> = []
        for name in ProcFile.names(in: folder) {
            let target = ProcFile.link("\(folder)/\(name)")
            if target.hasPrefix("socket:["), target.hasSuffix("]") {
                inodes.insert(String(target.dropFirst(8).dropLast()))
            }
        }
        return inodes
    }

    /// The listening lines of /proc/net/tcp or tcp6.
    static func parse(_ text: String) -> [(address: String, inode: String)] {
        text.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            // State 0A is TCP_LISTEN.
            guard fields.count > 9, fields[3] == "0A", let address = address(fields[1]) else { return nil }
            return (address, String(fields[9]))
        }
    }

    /// `0100007F:09DD` is 127.0.0.1:2525: 32-bit words in the machine's order, the port in network order.
    private static func address(_ field: Substring) -> String? {
        let parts = field.split(separator: ":")
        guard parts.count == 2, let port = UInt16(parts[1], radix: 16) else { return nil }
        var octets: [UInt8] = []
        var rest = parts[0]
        while !rest.isEmpty {
            guard let word = UInt32(rest.prefix(8), radix: 16) else { return nil }
            withUnsafeBytes(of: word) { octets += $0 }
            rest = rest.dropFirst(8)
        }
        let family = octets.count == 4 ? AF_INET : AF_INET6
        guard octets.count == 4 || octets.count == 16 else { return nil }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(family, octets, &text, socklen_t(text.count)) != nil else { return nil }
        let name = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return family == AF_INET ? "\(name):\(port)" : "[\(name)]:\(port)"
    }
}

/// Files of /proc, whose size is not known before they are read. What cannot be read (another user's process, one that
/// just ended) is empty.
enum ProcFile {
    static func read(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var octets: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return String(decoding: octets, as: UTF8.self) }
            octets += chunk[..<count]
        }
    }

    static func names(in folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }

    static func link(_ path: String) -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink(path, &buffer, buffer.count)
        return count < 0 ? "" : String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
