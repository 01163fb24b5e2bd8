import CPosix
import Glibc
import MailModel
import SASL
import Telemetry
import Testing

@testable import Credentials

/// A folder of its own for each test, removed with all that is in it.
final class Scratch {
    let path: String

    init() throws {
        var template = Array("/tmp/zm-credentials-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        var info = stat()
        guard lstat(path, &info) == 0 else { return }
        guard info.st_mode & S_IFMT == S_IFDIR, let stream = opendir(path) else {
            unlink(path)
            return
        }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        closedir(stream)
        for name in names where name != "." && name != ".." { remove("\(path)/\(name)") }
        rmdir(path)
    }

    /// The new file's path.
    @discardableResult
    func write(_ name: String, _ text: String, mode: mode_t = 0o600) throws -> String {
        let fd = cposix_open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, mode)
        try #require(fd >= 0)
        defer { close(fd) }
        fchmod(fd, mode)
        let octets = Array(text.utf8)
        try #require(Glibc.write(fd, octets, octets.count) == octets.count)
        return "\(path)/\(name)"
    }

    func script(_ name: String, _ text: String) throws -> String {
        try write(name, "#!/bin/sh\n\(text)\n", mode: 0o755)
    }

    func read(_ name: String) -> String? {
        let fd = cposix_open("\(path)/\(name)", O_RDONLY, 0)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        return Self.all(fd).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Everything until the end; `nil` if none comes within ten seconds.
    static func all(_ descriptor: Int32) -> [UInt8]? {
        var octets: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, 10_000) == 1 else { return nil }
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return octets }
            octets += buffer[0..<count]
        }
    }
}

/// Whether `condition` becomes true within ten seconds.
func eventually(_ condition: () -> Bool) -> Bool {
    let deadline = cposix_monotonic_milliseconds() + 10_000
    while !condition() {
        if cposix_monotonic_milliseconds() > deadline { return false }
        usleep(2000)
    }
    return true
}

/// A zombie is none.
func isRunning(_ pid: pid_t) -> Bool {
    guard let descriptor = Optional(cposix_open("/proc/\(pid)/stat", O_RDONLY, 0)), descriptor >= 0 else {
        return false
    }
    defer { close(descriptor) }
    let text = Scratch.all(descriptor).map { String(decoding: $0, as: UTF8.self) } ?? ""
    let state = text.split(separator: ")").last?.split(separator: " ").first
    return state != nil && state != "Z"
}

func name(_ text: String) -> UserName {
    guard let name = UserName(text) else { preconditionFailure("\(text) is no user name") }
    return name
}

func secret(_ text: String) -> Secret { Secret(Array(text.utf8)) }

func password(_ user: String, _ text: String, from client: String? = nil) -> CredentialRequest {
    CredentialRequest(client: client.flatMap { IPAddress($0) }, .password(user: name(user), secret(text)))
}

/// Hashes of `sesame`, made by Python's crypt and hashlib.
enum Sesame {
    static let crypt = [
        "$1$abcdefgh$5XhrJpGu.bBXAZh4lT8oY/", "$5$saltstring$dpp83Gw80RwXMu3uTayJceXPuNPIaqrzxHgMiJWTXR0",
        "$6$saltstring$zw6YcBRuwlGueZoWIkK6CRJbQmJbhVf1zPxCfDBsJpbBlxfJ610F8Vp0i93QFh0AmoYe0z/GrJISxBfRQSsGe1",
        "$6$rounds=1000$saltstring$kmHczx4rU6S1qtiT0yZfxrzWpB5ApnYfFybGRm8cbUkiAjfVa9gKWrEqgffzY58dY9vlLLuDZ.YMlK00Qr7Xc1",
        "$2b$04$abcdefghijklmnopqrstuuinwY/tkBVrn3xrxQI/TgnMHhkvl85RW",
        "$2y$04$abcdefghijklmnopqrstuuinwY/tkBVrn3xrxQI/TgnMHhkvl85RW",
        "$y$j75$saltsaltsalt$5z4hixMqZu85Q.FImGPyeqhaItXFcGCWgGmHtxl/3c9",
        "$gy$j75$saltsaltsalt$9zys/nFefUB15r65oX.D8VAA/wp6H3lo8NjSS/PSjG1",
        "$7$5U..../....saltsalt$/s0Gta0mAv6DaEiAyZMEaQxDq0nNQ6Tkbx9jdUdCju9",
    ]
    static let scram =
        "{SCRAM-SHA-256}4096:c2FsdHNhbHRzYWx0c2FsdA==:jLGK0jo09vcWEr1zVaEQgMNSmYL4LwOU+GtLGPoW7PY=:QBsTkA4W24SpKigPuJRW7H9JV8r8xlumx0R+b3oTLXE="
}
