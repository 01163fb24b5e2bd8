import Foundation
import Glibc

/// One of our content filters by itself, spoken to as smtpserver does: one stream socket for its standard input and output,
/// PATH and ZCONFIG for its environment, started in POSTOFFICE.
final class FilterScript {
    struct Answer {
        /// What came before the result, without remarks.
        var edits: [String] = []
        /// Lines `# …`.
        var remarks: [String] = []
        /// `nil`: it ended, or asked for the next message, without one.
        var result: String?
        /// Everything, for messages of failed tests.
        var lines: [String] = []
    }

    /// MAILSHARE, POSTOFFICE and the messages of one filter; removed with it.
    let folder: String
    let process: TestProcess
    private let descriptor: Int32
    private var received: [UInt8] = []

    /// `settings` are the lines of NAME.conf; `nil`: there is no such file.
    init(_ name: String, settings: [String]?) throws {
        var template = Array("/tmp/zm-filter-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw HarnessError("mkdtemp: \(String(cString: strerror(errno)))") }
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        self.folder = folder
        for path in ["share", "post office/public"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(path)", withIntermediateDirectories: true)
        }
        try """
        # of a test
        TOP=\(folder)
        MAILSHARE="$TOP/share"
        POSTOFFICE='\(folder)/post office'

        """.write(toFile: "\(folder)/zmailer.conf", atomically: false, encoding: .utf8)
        if let settings {
            try (["# of a test", ""] + settings).map { $0 + "\n" }.joined().write(
                toFile: "\(folder)/share/\(name).conf", atomically: false, encoding: .utf8)
        }
        var pair: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &pair) == 0 else {
            throw HarnessError("socketpair: \(String(cString: strerror(errno)))")
        }
        defer { close(pair[1]) }
        descriptor = pair[0]
        process = try TestProcess(
            "/usr/bin/env",
            [
                "-i", "-C", "\(folder)/post office", "PATH=/usr/local/bin:/usr/bin:/bin",
                "ZCONFIG=\(folder)/zmailer.conf", "\(Programs.libexec)/contentfilters/\(name)",
            ], descriptors: [0: pair[1], 1: pair[1]], outputPath: "\(folder)/errors")
    }

    deinit {
        close(descriptor)
        process.killGroup()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// What it has written to standard error.
    var errors: String { process.output }

    /// The path of a message file; its name has a blank.
    func message(
        _ content: [UInt8], from sender: String = "sender@client.test",
        to recipients: [String] = ["alice@example.test", "bob@example.test"], more: [String] = []
    ) throws -> String {
        let path = "\(folder)/post office/public/\(UUID().uuidString) 1"
        var envelope = [
            "format crlf", "external",
            #"rcvdfrom mx.client.test ([192.0.2.7]:4711 "EHLO client\"\(1.test" rhost-flags-OK-OK-OK-FAIL)"#,
            "comment nothing", "with ESMTPS",
        ]
        envelope += more + [sender.isEmpty ? "channel error" : "from \(sender)"]
        for recipient in recipients { envelope += ["todsn NOTIFY=FAILURE", "to \(recipient)"] }
        let trace =
            "Received: from mx.client.test ([192.0.2.7]:4711)\r\n\tby mail.example.test with ESMTPS id 1;"
            + " Thu, 26 Nov 2026 10:00:00 +0000\r\n"
        let octets = (envelope + ["env-end"]).map { $0 + "\n" }.joined() + trace
        try Data(Array(octets.utf8) + content).write(to: URL(fileURLWithPath: path))
        return path
    }

    /// A header that nobody takes offence at, with `fields`, and a body.
    static func content(_ body: String, fields: [String] = [], subject: String = "minutes of the meeting") -> [UInt8] {
        let header =
            [
                "From: Sender <sender@client.test>", "To: Alice <alice@example.test>", "Subject: \(subject)",
                "Date: Thu, 26 Nov 2026 10:00:00 +0000", "Message-ID: <20261126100000.4711@client.test>",
                "MIME-Version: 1.0", "Content-Type: text/plain; charset=us-ascii",
            ] + fields
        return Array((header + ["", body]).map { $0 + "\r\n" }.joined().utf8)
    }

    /// Gives it one message and reads up to the result, or to its end.
    func answer(_ path: String, deadline: Duration = .seconds(60)) async throws -> Answer {
        guard let first = try await line(deadline: .seconds(20)) else { throw HarnessError("it ended: \(errors)") }
        guard first == "#hungry" else { throw HarnessError("'\(first)' instead of #hungry\n\(errors)") }
        let octets = Array((path + "\n").utf8)
        guard send(descriptor, octets, octets.count, Int32(MSG_NOSIGNAL)) == octets.count else {
            throw HarnessError("it does not read: \(String(cString: strerror(errno)))\n\(errors)")
        }
        var answer = Answer()
        while let line = try await line(deadline: deadline) {
            if line == "#hungry" {
                received = Array("#hungry\n".utf8) + received
                return answer
            }
            answer.lines.append(line)
            let digits = line.hasPrefix("-") ? line.dropFirst() : line[...]
            let number = digits.prefix { "0"..."9" ~= $0 }
            if !number.isEmpty, digits.count == number.count || digits.dropFirst(number.count).hasPrefix(" ") {
                answer.result = line
                return answer
            }
            if line.hasPrefix("#") {
                answer.remarks.append(line)
            } else if ["+header ", "+header-last ", "-header ", "rewrite-to ", "tag "].contains(where: line.hasPrefix) {
                answer.edits.append(line)
            } else {
                throw HarnessError("a line that is none of the interface: \(line)")
            }
        }
        return answer
    }

    /// EOF on its standard input; how it ended.
    func end() async throws -> TestProcess.ExitStatus {
        shutdown(descriptor, Int32(SHUT_WR))
        return try await process.waitForExit()
    }

    /// The largest that its memory was, in KiB; of programs that it has started nothing is said.
    var peakMemory: Int {
        let status = String(
            decoding: FileManager.default.contents(atPath: "/proc/\(process.pid)/status") ?? Data(), as: UTF8.self)
        return status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
            .flatMap { Int($0.filter(\.isNumber)) } ?? 0
    }

    /// The next line; nil at the end. Printable ASCII, and CR and TAB where fields are folded, is all that may be in it.
    private func line(deadline: Duration) async throws -> String? {
        var isAtEnd = false
        try await waitUntil("a line of the filter", deadline: deadline, details: { self.errors }) {
            while !received.contains(0x0a), !isAtEnd {
                var buffer = [UInt8](repeating: 0, count: 65_536)
                let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
                if count < 0, errno == EAGAIN { return false }
                // A filter that has ended with an unread line resets the socket.
                isAtEnd = count <= 0
                received += buffer[..<max(count, 0)]
            }
            return true
        }
        guard let feed = received.firstIndex(of: 0x0a) else {
            guard received.isEmpty else { throw HarnessError("it ended within a line: \(received.prefix(500))") }
            return nil
        }
        let line = received[..<feed]
        received.removeSubrange(...feed)
        guard line.count <= 65_536, line.allSatisfy({ (0x20...0x7e).contains($0) || $0 == 0x0d || $0 == 0x09 })
        else { throw HarnessError("a line of \(line.count) octets, or not ASCII: \(line.prefix(500))") }
        return String(decoding: line, as: UTF8.self)
    }
}

/// A daemon that says what a test tells it to each connection, whatever it is asked; `nil`: nothing ever.
final class HostileFilterPeer: Sendable {
    let folder: String
    var endpoint: String { "\(folder)/socket" }
    private let listener: Int32
    private let ended = DispatchSemaphore(value: 0)

    init(_ reply: [UInt8]?) throws {
        folder = try FilterDaemon.makeFolder()
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard withUnixSocket("\(folder)/socket", { bind(listener, $0, $1) }) == 0, listen(listener, 16) == 0 else {
            throw HarnessError("\(folder)/socket: \(String(cString: strerror(errno)))")
        }
        let (descriptor, ended) = (listener, ended)
        let thread = Thread {
            defer {
                close(descriptor)
                ended.signal()
            }
            while true {
                let client = Descriptors.accept(descriptor)
                guard client >= 0 else { return }
                Self.serve(client, reply)
                close(client)
            }
        }
        thread.stackSize = 256 << 10
        thread.start()
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        ended.wait()
        try? FileManager.default.removeItem(atPath: folder)
    }

    private static func serve(_ client: Int32, _ reply: [UInt8]?) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        guard let reply else {
            while recv(client, &buffer, buffer.count, 0) > 0 {}
            return
        }
        // All of a small question has arrived when nothing more comes for a moment.
        var entry = pollfd(fd: client, events: Int16(POLLIN), revents: 0)
        while poll(&entry, 1, 50) > 0, recv(client, &buffer, buffer.count, 0) > 0 {}
        _ = send(client, reply, reply.count, Int32(MSG_NOSIGNAL))
        shutdown(client, Int32(SHUT_WR))
        while recv(client, &buffer, buffer.count, 0) > 0 {}
    }
}
