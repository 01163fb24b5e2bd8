import Foundation
import Glibc

/// smtpserver's side of a content filter, without smtpserver: the jobs are files that the test makes.
final class FilterDialogue {
    /// What a filter has said about one message.
    struct Answer {
        var edits: [String] = []
        var remarks: [String] = []
        /// Empty: it had none.
        var result = ""
    }

    private let ours: Int32
    private let process: TestProcess
    private var buffer: [UInt8] = []

    /// Starts a program whose standard input and output are one socket.
    init(_ program: String, environment: [String: String], log: String) throws {
        let ends = Descriptors.withoutSpawn { _ in
            var ends: [Int32] = [-1, -1]
            _ = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            return ends
        }
        guard ends[0] >= 0 else { throw HarnessError("socketpair: \(String(cString: strerror(errno)))") }
        defer { close(ends[1]) }
        process = try TestProcess(
            program, [], environment: environment, descriptors: [0: ends[1], 1: ends[1]], outputPath: log)
        ours = ends[0]
    }

    deinit { close(ours) }

    /// Gives it one message and reads what it says up to the result.
    func judge(_ path: String) throws -> Answer {
        let octets = Array("\(path)\n".utf8)
        guard octets.withUnsafeBytes({ write(ours, $0.baseAddress, $0.count) }) == octets.count else {
            throw HarnessError("the filter takes no message\n\(process.output)")
        }
        var answer = Answer()
        while true {
            var line = try line()
            if line == "#hungry" { continue }
            if line.hasPrefix(path + " ") { line = String(line.dropFirst(path.count + 1)) }
            if line.hasPrefix("#"), line != "#none" {
                answer.remarks.append(line)
            } else if ["+header", "-header", "rewrite-to", "tag "].contains(where: line.hasPrefix) {
                answer.edits.append(line)
            } else {
                answer.result = line
                return answer
            }
        }
    }

    /// EOF on its input; its exit status.
    func end() async throws -> TestProcess.ExitStatus {
        shutdown(ours, Int32(SHUT_WR))
        return try await process.waitForExit()
    }

    private func line() throws -> String {
        while true {
            if let end = buffer.firstIndex(of: 0x0a) {
                let line = String(decoding: buffer[..<end], as: UTF8.self)
                buffer.removeFirst(end + 1)
                return line
            }
            var entry = pollfd(fd: ours, events: Int16(POLLIN), revents: 0)
            var part = [UInt8](repeating: 0, count: 4096)
            guard poll(&entry, 1, 60_000) > 0, case let got = read(ours, &part, part.count), got > 0 else {
                throw HarnessError("the filter says nothing\n\(process.output)")
            }
            buffer += part[..<got]
        }
    }
}

extension FilterDialogue.Answer {
    /// The content as smtpserver would make it of the edits of the header.
    func applied(to content: String) throws -> String {
        guard let end = content.range(of: "\r\n\r\n") else { throw HarnessError("no header in \(content)") }
        var fields: [String] = []
        for line in content[..<end.lowerBound].components(separatedBy: "\r\n") {
            if line.first == " " || line.first == "\t", let last = fields.popLast() {
                fields.append(last + "\r\n" + line)
            } else {
                fields.append(line)
            }
        }
        var (top, last, gone): ([String], [String], Set<Int>) = ([], [], [])
        for edit in edits {
            let parts = edit.split(separator: " ", maxSplits: 1).map(String.init)
            let text = parts[1].replacingOccurrences(of: "\r", with: "\r\n")
            switch parts[0] {
            case "+header": top.append(text)
            case "+header-last": last.append(text)
            case "-header":
                let target = text.split(separator: "/").map(String.init)
                let places = fields.indices.filter {
                    fields[$0].prefix { $0 != ":" }.lowercased() == target[0].lowercased()
                }
                let numbers = target.count > 1 ? [Int(target[1]) ?? 0] : Array(1...max(1, places.count))
                for number in numbers where places.indices.contains(number - 1) { gone.insert(places[number - 1]) }
            default: throw HarnessError("no edit of a header: \(edit)")
            }
        }
        let kept = fields.indices.filter { !gone.contains($0) }.map { fields[$0] }
        return (top + kept + last).joined(separator: "\r\n") + content[end.lowerBound...]
    }
}
