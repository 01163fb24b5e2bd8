import AgentProtocol
import Glibc
import MailModel
import Postoffice

/// ZMailer's way to ask for mail (smtpserver.md §8): a file `transport/<digits>-etrn` with the line `T <domain> <address>`.
enum ETRNFiles {
    struct Request: Sendable {
        let name: String
        /// `nil`: it could not be read.
        let target: ETRNTarget?
        /// For whom, or what is wrong.
        let remark: String
    }

    /// Files taken in one look; octets of one.
    static let maximumFiles = 1000
    static let maximumSize = 1024

    static func isName(_ name: String) -> Bool {
        name.hasSuffix("-etrn") && name.utf8.count > 5 && name.utf8.dropLast(5).allSatisfy { (48...57).contains($0) }
    }

    /// Reads and removes them; what cannot be read is removed too: it stands for no mail.
    static func take(_ names: [String], of postoffice: Postoffice) -> [Request] {
        names.prefix(maximumFiles).compactMap { name in
            let path = "\(postoffice.root)/transport/\(name)"
            let octets = read(path)
            // One that stays would be done again at each look.
            guard unlink(path) == 0 else {
                guard errno != ENOENT else { return nil }
                return Request(
                    name: name, target: nil, remark: "cannot be removed: \(String(cString: strerror(errno)))")
            }
            return octets.map { request(name, $0) } ?? Request(name: name, target: nil, remark: "is no readable file")
        }
    }

    static func request(_ name: String, _ octets: [UInt8]) -> Request {
        let line = Octets.split(octets[...], at: 0x0a, limit: 2)[0]
        let words = Octets.words(line).map(Octets.text)
        guard words.count >= 2, words[0] == "T", let target = ETRNTarget(words[1]) else {
            return Request(name: name, target: nil, remark: "holds no 'T <domain> <address>'")
        }
        return Request(name: name, target: target, remark: words.count > 2 ? words[2] : "")
    }

    /// Never follows a link, never waits for a pipe: we may be root, and the directory is not root's.
    private static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var information = stat()
        guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG else { return nil }
        var buffer = [UInt8](repeating: 0, count: maximumSize)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        return count >= 0 ? Array(buffer[..<count]) : nil
    }
}
