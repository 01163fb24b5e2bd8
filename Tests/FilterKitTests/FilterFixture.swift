import Foundation
import Glibc
import SpoolFormat
import Testing

/// A folder of message files, removed with its owner.
final class FilterFolder {
    let path: String
    private var count = 0

    init() throws {
        path = NSTemporaryDirectory() + "filter-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    static let client = #"mx.test ([192.0.2.1]:4711 "EHLO helo.test" rhost-flags-OK-OK-OK-OK)"#
    static let header = "Received: from us\r\n\tby us; now\r\nFrom: alice@example.test\r\nSubject: hi\r\n"

    static func envelope(
        client: String? = client, recipients: [String] = ["bob@example.org"], sender: String? = "alice@example.test"
    ) -> MessageEnvelope {
        var envelope = MessageEnvelope()
        envelope.isExternal = true
        envelope.receivedFrom = client
        envelope.with = "ESMTP"
        envelope.sender = sender
        envelope.recipients = recipients.map { EnvelopeRecipient(address: $0) }
        return envelope
    }

    /// The path of a message file with this envelope and content.
    func message(
        _ envelope: MessageEnvelope = envelope(), header: String = header, body: String = "Hello\r\n"
    ) throws -> String {
        count += 1
        let file = "\(path)/\(700_000 + count)"
        try Data(envelope.encoded() + Array("\(header)\r\n\(body)".utf8)).write(to: URL(fileURLWithPath: file))
        return file
    }
}

/// smtpserver's side of a filter: lines over a pair of connected sockets.
final class FilterPeer {
    let ours: Int32
    let theirs: Int32
    private var buffer: [UInt8] = []

    init() throws {
        var ends: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        (ours, theirs) = (ends[0], ends[1])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    }

    deinit {
        close(ours)
        close(theirs)
    }

    func send(_ line: String) {
        let octets = Array((line + "\n").utf8)
        _ = octets.withUnsafeBytes { write(ours, $0.baseAddress, $0.count) }
    }

    func endInput() { shutdown(ours, Int32(SHUT_WR)) }

    /// The next line; `nil` at the end or after 20 s.
    func line() -> String? {
        while true {
            if let end = buffer.firstIndex(of: 0x0a) {
                let line = String(decoding: buffer[..<end], as: UTF8.self)
                buffer.removeFirst(end + 1)
                return line
            }
            var entry = pollfd(fd: ours, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, 20_000) > 0 else { return nil }
            var part = [UInt8](repeating: 0, count: 4096)
            let got = read(ours, &part, part.count)
            guard got > 0 else { return nil }
            buffer += part[..<got]
        }
    }

    func lines(_ count: Int) -> [String] { (0..<count).compactMap { _ in line() } }
}

/// A program of the build, its standard input and output at one end of a pair of sockets, as smtpserver starts it.
final class FilterProcess {
    let peer: FilterPeer
    private(set) var pid: pid_t = 0
    private let log: String

    init(_ program: String, name: String? = nil, environment: [String: String] = [:], log: String) throws {
        peer = try FilterPeer()
        self.log = log
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, peer.theirs, 0)
        posix_spawn_file_actions_adddup2(&actions, peer.theirs, 1)
        posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        let merged = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(name ?? program), nil]
        var variables: [UnsafeMutablePointer<CChar>?] = merged.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (arguments + variables).forEach { free($0) } }
        let failure = posix_spawn(&pid, program, &actions, nil, &arguments, &variables)
        try #require(failure == 0, "cannot start \(program): \(String(cString: strerror(failure)))")
        shutdownTheirs()
    }

    deinit {
        guard pid > 0 else { return }
        kill(pid, SIGKILL)
        _ = wait()
    }

    private func shutdownTheirs() {
        // The process has its own copies: without ours its end is seen.
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        dup2(null, peer.theirs)
        close(null)
    }

    /// The exit status, -1 if it was killed.
    func wait() -> Int32 {
        var status: Int32 = 0
        let ended = waitpid(pid, &status, 0) == pid
        pid = 0
        return ended && status & 0x7f == 0 ? (status >> 8) & 0xff : -1
    }

    var output: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

    /// The folder of the build, where the test bundle is.
    static func program(_ name: String) -> String {
        URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().path + "/" + name
    }
}
