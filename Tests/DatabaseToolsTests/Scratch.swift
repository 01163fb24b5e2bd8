import ChildProcesses
import Glibc
import Policy
import Testing

@testable import DatabaseTools

/// A folder that is gone when the test has ended.
final class Scratch {
    let path: String

    init() throws {
        var template = Array("/tmp/zm-databases-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        for name in names(in: path) { remove("\(path)/\(name)") }
        if rmdir(path) != 0 { unlink(path) }
    }

    private static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Names in the folder, sorted.
    var names: [String] { Self.names(in: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    func write(_ octets: [UInt8], to name: String) throws {
        let descriptor = open(file(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        try #require(Glibc.write(descriptor, octets, octets.count) == octets.count)
    }

    func write(_ text: String, to name: String) throws { try write(Array(text.utf8), to: name) }

    func octets(_ name: String) throws -> [UInt8] {
        let descriptor = open(file(name), O_RDONLY | O_CLOEXEC)
        try #require(descriptor >= 0, "\(name)")
        defer { close(descriptor) }
        var info = stat()
        try #require(fstat(descriptor, &info) == 0)
        var octets = [UInt8](repeating: 0, count: Int(info.st_size))
        try #require(octets.isEmpty || read(descriptor, &octets, octets.count) == octets.count)
        return octets
    }

    func text(_ name: String) throws -> String { String(decoding: try octets(name), as: UTF8.self) }

    func inode(_ name: String) throws -> UInt {
        var info = stat()
        try #require(stat(file(name), &info) == 0)
        return UInt(info.st_ino)
    }

    // MARK: Programs

    struct Ended {
        let exit: ChildProcess.Exit
        let output: String
        let errors: String
    }

    /// Runs a program to its end, with `input` on its standard input.
    func run(_ path: String, _ arguments: [String], environment: [String] = []) throws -> Ended {
        let child = try start(path, arguments, environment: environment, input: "/dev/null")
        return try end(child)
    }

    func start(
        _ path: String, _ arguments: [String], environment: [String] = [], input: String
    ) throws -> ChildProcess {
        let source = open(input, O_RDWR | O_CLOEXEC)
        let output = open(file(".out"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        let errors = open(file(".err"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        defer { for descriptor in [source, output, errors] { close(descriptor) } }
        return try ChildProcess.spawn(
            ChildRequest(
                path: path, arguments: arguments, environment: ["PATH=/usr/bin:/bin"] + environment,
                descriptors: [source, output, errors]))
    }

    func end(_ child: ChildProcess) throws -> Ended {
        let exit = try #require(child.wait(milliseconds: 120_000), "no end within two minutes")
        let ended = Ended(exit: exit, output: try text(".out"), errors: try text(".err"))
        unlink(file(".out"))
        unlink(file(".err"))
        return ended
    }
}

enum Place {
    static let repository = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    static let script = "\(repository)/scripts/policy-builder.sh"

    /// Programs are built beside the tests.
    static func program(_ name: String) throws -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        try #require(count > 0)
        let test = String(decoding: buffer[0..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let folder = "/" + test.split(separator: "/").dropLast().joined(separator: "/")
        // swift test runs its helper with Swift Testing; the bundle is an argument then.
        let candidates =
            [folder]
            + CommandLine.arguments.map {
                "/" + $0.split(separator: "/").dropLast().joined(separator: "/")
            }
        return try #require(
            candidates.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 },
            "\(name) is not beside the tests in \(candidates)")
    }
}

/// Builds `name`.gdbm from policy source in a scratch folder.
@discardableResult
func build(
    _ source: String, _ scratch: Scratch, _ name: String = "policy", appends: Bool = true, now: Int64 = 1
) throws -> DatabaseBuilder.Outcome {
    try scratch.write(source, to: "\(name).dat")
    var request = DatabaseBuilder.Request()
    request.basename = scratch.file(name)
    request.input = scratch.file("\(name).dat")
    request.form = .policy
    request.appends = appends
    return try DatabaseBuilder(request: request, now: now).run()
}
