import AgentKit
import AgentProtocol
import Glibc
import MailModel
import SpoolFormat
import Testing

/// A `transport` and a `queue` directory of one test.
final class AgentKitSpool {
    let root: String
    private var sequence: UInt64 = 0

    init() throws {
        var template = Array("/tmp/agentkit.XXXXXX".utf8CString)
        let path = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) }
        root = String(cString: try #require(path))
        try #require(mkdir(root + "/transport", 0o750) == 0)
        try #require(mkdir(root + "/queue", 0o750) == 0)
    }

    deinit {
        for directory in ["transport", "queue"] {
            if let handle = opendir("\(root)/\(directory)") {
                while let entry = readdir(handle) {
                    let name = withUnsafeBytes(of: entry.pointee.d_name) {
                        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                    }
                    unlink("\(root)/\(directory)/\(name)")
                }
                closedir(handle)
            }
            rmdir("\(root)/\(directory)")
        }
        rmdir(root)
    }

    /// Writes message and control file as the router would.
    @discardableResult
    func add(
        _ groups: [ControlGroup], content: String = "Subject: x\r\n\r\nHello\r\n", isErrorMessage: Bool = false,
        withMessage: Bool = true, traits: MessageTraits? = nil, configure: (inout ControlFile) -> Void = { _ in }
    ) throws -> ControlFile {
        sequence += 1
        let id = SpoolID(rawValue: (1_795_000_000_000 << 22) + sequence)
        var envelope = MessageEnvelope()
        envelope.sender = groups.first?.sender.user
        let front = envelope.encoded()
        let octets = front + Array(content.utf8)
        var control = ControlFile(
            id: id, headerStart: front.count, bodyOffset: front.count + 14, messageSize: octets.count, logID: "<a@b>",
            groups: groups)
        let lines = content.split(separator: "\r\n", omittingEmptySubsequences: false)
        control.traits =
            traits
            ?? MessageTraits(
                size: content.utf8.count, hasDotLines: lines.contains { $0.hasPrefix(".") },
                hasEightBit: content.utf8.contains { $0 > 127 }, longestLine: lines.map(\.utf8.count).max() ?? 0)
        control.isErrorMessage = isErrorMessage
        configure(&control)
        try write(control.encodeHead(), to: "transport/\(id)")
        if withMessage { try write(octets, to: "queue/\(id)") }
        return control
    }

    func write(_ octets: [UInt8], to name: String) throws {
        let descriptor = creat("\(root)/\(name)", 0o640)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        try #require(Glibc.write(descriptor, octets, octets.count) == octets.count)
    }

    /// Feeds `lines` to an agent, waits for its end and returns what it said.
    func run(
        _ agent: some TransportAgent, channel: String = "smtp", hostFilter: String? = nil, jobs: Int = 1, input: String,
        isReaderGone: Bool = false, observer: @escaping ResultObserver = { _, _, _, _ in }
    ) throws -> [AgentMessage] {
        var toAgent: [Int32] = [0, 0]
        var fromAgent: [Int32] = [0, 0]
        try #require(pipe(&toAgent) == 0 && pipe(&fromAgent) == 0)
        // It is read when the agent has ended; F_SETPIPE_SZ.
        try #require(fcntl(fromAgent[1], 1031, 1 << 20) >= 0)
        let text = Array(input.utf8)
        try #require(Glibc.write(toAgent[1], text, text.count) == text.count)
        close(toAgent[1])
        var options = AgentRunner.Options(
            name: "test", selection: RecipientSelection(channel: channel, hostFilter: hostFilter), maximumJobs: jobs)
        options.controlDirectory = root + "/transport"
        options.queueDirectory = root + "/queue"
        options.input = toAgent[0]
        options.output = fromAgent[1]
        options.handlesTermination = false
        if isReaderGone { close(fromAgent[0]) }
        AgentRunner(options, observer: observer).run(agent)
        close(toAgent[0])
        close(fromAgent[1])
        if isReaderGone { return [] }
        defer { close(fromAgent[0]) }
        var splitter = LineSplitter()
        var messages: [AgentMessage] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(fromAgent[0], &buffer, buffer.count)
            if count <= 0 { return messages }
            buffer[..<count].withUnsafeBytes { octets in
                splitter.append(octets) { messages.append(AgentMessage(line: $0)) }
            }
        }
    }
}

extension ControlGroup {
    /// Recipients `(channel, host, user)` of one sender.
    static func from(_ sender: String, _ recipients: [(String, String, String)]) -> ControlGroup {
        ControlGroup(
            sender: Quad(channel: "smtp", host: "-", user: sender, privilege: 0), errorsTo: sender,
            recipients: recipients.map {
                ControlRecipient(quad: Quad(channel: $0.0, host: $0.1, user: $0.2, privilege: 0))
            })
    }
}
