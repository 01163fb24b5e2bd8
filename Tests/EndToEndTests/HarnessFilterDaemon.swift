import Foundation
import Glibc
import Synchronization
import Testing

/// A daemon that content filters ask, of those that scripts/peers has unpacked: in a temporary folder of its own, on a unix
/// socket and a port of 127.0.0.1, nothing asked of the network.
protocol FilterPeer: AnyObject, Sendable {
    /// Whether scripts/peers has got it.
    static var isAvailable: Bool { get }
    static var name: String { get }
    init() throws
    var daemon: FilterDaemon { get }
}

extension FilterPeer {
    /// For the list of skipped tests.
    static var requirement: Comment { "needs \(name), which scripts/peers could not get" }
    /// The path of its unix socket.
    var endpoint: String { daemon.endpoint }
    /// The same service over TCP.
    var port: UInt16 { daemon.port }
    /// It answers when this returns.
    func start() async throws { try await daemon.start() }
    /// SIGTERM by its process id, and waits for all its processes.
    func stop() async throws { try await daemon.stop(SIGTERM) }
    /// SIGKILL to all its processes.
    func kill() async throws { try await daemon.stop(SIGKILL) }
}

/// The process of a ``FilterPeer``, which can be ended and started again with the same endpoints.
final class FilterDaemon: @unchecked Sendable {
    let folder: String
    let endpoint: String
    let port: UInt16
    private let command: (program: String, arguments: [String], environment: [String: String])
    /// Under `lock`, which makes this class Sendable.
    private var process: TestProcess?
    private let lock = Mutex(())

    /// `folder` is removed with it.
    init(
        folder: String, port: UInt16, program: String, arguments: [String], environment: [String: String]
    ) {
        self.folder = folder
        self.endpoint = "\(folder)/socket"
        self.port = port
        command = (program, arguments, environment.merging(["ZMAILER_TEST_PEER": folder]) { ours, _ in ours })
    }

    deinit {
        process?.killGroup()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// What it has written.
    var output: String {
        String(decoding: FileManager.default.contents(atPath: "\(folder)/output") ?? Data(), as: UTF8.self)
    }

    var isRunning: Bool { lock.withLock { _ in process?.isRunning ?? false } }

    func start() async throws {
        try lock.withLock { _ in
            process = try TestProcess(
                command.program, command.arguments, environment: command.environment, outputPath: "\(folder)/output")
        }
        try await waitUntil("\(command.program) listens", details: { self.output }) {
            guard self.isRunning else { throw HarnessError("\(self.command.program) ended\n\(self.output)") }
            return isListening(self.port) && isListening(self.endpoint)
        }
    }

    func stop(_ signal: Int32) async throws {
        guard let pid = lock.withLock({ _ in process?.pid }) else { return }
        if signal == SIGKILL { _ = Glibc.kill(-pid, signal) } else { _ = Glibc.kill(pid, signal) }
        try await waitUntil("\(command.program) ends", details: { self.output }) { !self.isRunning }
        _ = Glibc.kill(-pid, SIGKILL)
        try await waitUntil("its processes end") { ProcessTable.processes(naming: self.folder).isEmpty }
        lock.withLock { _ in process = nil }
    }

    /// A folder for a daemon, where every user may look.
    static func makeFolder() throws -> String {
        var template = Array("/tmp/zm-peer-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw HarnessError("mkdtemp: \(String(cString: strerror(errno)))") }
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(folder, 0o755)
        return folder
    }

    /// The folder above `usr/bin` or `usr/sbin` of an unpacked program.
    static func root(of program: String) -> String {
        URL(fileURLWithPath: program).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
    }
}

/// Whether something accepts connections on a unix socket.
func isListening(_ path: String) -> Bool {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    defer { close(descriptor) }
    return withUnixSocket(path) { connect(descriptor, $0, $1) } == 0
}

func withUnixSocket<Result>(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Result) rethrows
    -> Result
{
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8).prefix($0.count - 1)) }
    return try withUnsafePointer(to: &address) {
        try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            try body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}

/// The daemon of a suite: started once before its tests, stopped behind the last one.
enum SuitePeer {
    @TaskLocal static var current: (any FilterPeer)?

    /// That of the suite, which has the trait `.filterPeer(Peer.self)`.
    static func of<Peer: FilterPeer>(_ type: Peer.Type) throws -> Peer {
        guard let peer = current as? Peer else {
            throw HarnessError("the suite has no trait .filterPeer(\(type).self)")
        }
        return peer
    }
}

struct FilterPeerTrait<Peer: FilterPeer>: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let peer = try Peer()
        try await peer.start()
        try await SuitePeer.$current.withValue(peer) { try await function() }
        try await peer.stop()
    }
}

extension SuiteTrait {
    static func filterPeer<Peer: FilterPeer>(_ type: Peer.Type) -> Self where Self == FilterPeerTrait<Peer> {
        FilterPeerTrait<Peer>()
    }
}
