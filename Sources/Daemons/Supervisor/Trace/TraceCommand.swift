import Configuration
import Glibc
import MailModel
import ProgramKit
import SpoolFormat

/// What `zmailer trace` does.
public enum TraceCommand {
    public struct Options: Sendable {
        /// Log files beside those of LOGDIR; `-`: standard input.
        public var logs: [String]
        public var json: Bool
        /// Reads everything, however much that is.
        public var readsAll: Bool
        /// Messages that match addresses.
        public var newest: Int

        public init(logs: [String] = [], json: Bool = false, readsAll: Bool = false, newest: Int = 10) {
            self.logs = logs
            self.json = json
            self.readsAll = readsAll
            self.newest = newest
        }
    }

    /// Exit code 1 if nothing is known of the subject, with what was looked at; otherwise of sysexits.h.
    public static func run(_ environment: ZEnvironment, _ subject: TraceSubject, _ options: Options) -> Int32 {
        if let code = Control.refuseStranger("zmailer", environment) { return code.rawValue }
        var remarks: [String] = []
        var sources = LogSource.all(in: environment.logdir, unread: &remarks)
        var copy: UnsafeMutablePointer<FILE>?
        defer { if let copy { fclose(copy) } }
        for path in options.logs {
            if path == "-" {
                copy = copyOfStandardInput()
                guard let copy, let source = LogSource("/proc/self/fd/\(fileno(copy))") else {
                    Program.print("zmailer: standard input: \(String(cString: strerror(errno)))", to: 2)
                    return ExitCode.ioError.rawValue
                }
                sources.append(source)
            } else if let source = LogSource(path) {
                sources.append(source)
            } else {
                Program.print("zmailer: --log \(path): \(String(cString: strerror(errno)))", to: 2)
                return ExitCode.noInput.rawValue
            }
        }
        var settings = TraceSearch.Options()
        if options.readsAll { settings.limit = .max }
        settings.newest = options.newest
        let report = trace(environment, subject, sources, settings, remarks)
        if report.isEmpty {
            Program.print("zmailer: \(report.searched)", to: 2)
            for remark in report.remarks { Program.print("zmailer: \(remark)", to: 2) }
            if options.json { Program.print(report.json) }
            return 1
        }
        Program.print(options.json ? report.json : report.text)
        if !options.json { for remark in report.remarks { Program.print("zmailer: \(remark)", to: 2) } }
        return 0
    }

    static func trace(
        _ environment: ZEnvironment, _ subject: TraceSubject, _ sources: [LogSource],
        _ settings: TraceSearch.Options, _ remarks: [String]
    ) -> TraceReport {
        var remarks = remarks
        let client = QueueClient(environment)
        var search = TraceSearch(sources, settings)
        var queuedMessages: [String] = []
        if case .addresses(let from, let to) = subject {
            // Mail that has not been tried stands in no line with its recipient.
            do throws(QueueClient.Failure) {
                queuedMessages = try client.messages(from: from, to: to)
            } catch {
                remarks.append("\(error); what it has and has not tried is missing")
            }
        }
        search.run(subject, alsoMessages: queuedMessages)
        let messages = search.names.messages.map { ($0, SpoolID($0)?.rawValue ?? 0) }.sorted { $0.1 < $1.1 }.map(\.0)
        let places = TracePlace.all(messages, in: environment.postoffice)
        var queued: [JSONValue] = []
        for place in places where place.isQueued {
            do throws(QueueClient.Failure) {
                try client.ask(.message, argument: place.queueID) { queued.append($0) }
            } catch {
                // Gone meanwhile, or not yet read by the scheduler.
                if case .refused = error { continue }
                remarks.append("\(error); what comes next is not known")
                break
            }
        }
        remarks += search.problems
        remarks += limits(search, settings)
        return TraceReport(
            subject: subject, messages: messages, events: search.events, places: places, queued: queued,
            coverage: search.coverage, remarks: remarks, now: time(nil))
    }

    private static func limits(_ search: TraceSearch, _ settings: TraceSearch.Options) -> [String] {
        var remarks: [String] = []
        if search.further > 0 {
            remarks.append("\(search.further) older ones match; --last \(settings.newest + search.further) shows all")
        }
        if search.isTruncated || search.names.isTruncated {
            remarks.append("there is more than could be kept; this is not everything")
        }
        let partly = search.coverage.filter { !$0.isComplete }.map(\.path)
        if !partly.isEmpty {
            let limit = QueueListing.size(settings.limit)
            remarks.append(
                "only \(limit) were read, not all of \(partly.joined(separator: " ")); --all reads everything")
        }
        return remarks
    }

    /// A log that can be read more than once.
    private static func copyOfStandardInput() -> UnsafeMutablePointer<FILE>? {
        guard let copy = tmpfile() else { return nil }
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(0, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count == 0 { break }
            guard count > 0, fwrite(chunk, 1, count, copy) == count else {
                fclose(copy)
                return nil
            }
        }
        guard fflush(copy) == 0 else {
            fclose(copy)
            return nil
        }
        return copy
    }
}

extension QueueClient {
    /// Ids of queued messages with this sender and this recipient; `nil`: any.
    func messages(from: String?, to: String?) throws(Failure) -> [String] {
        var ids: [String] = []
        func isSame(_ text: String?, _ wanted: String) -> Bool {
            Octets.hasSameLetters(text ?? "", wanted)
        }
        try ask(.queue) { message in
            guard let id = message["id"]?.string, from.map({ isSame(message["sender"]?.string, $0) }) ?? true else {
                return
            }
            let recipients = message["recipients"]?.elements ?? []
            let hasRecipient =
                to.map { wanted in
                    recipients.contains {
                        isSame($0["address"]?.string, wanted) || isSame($0["original"]?.string, wanted)
                    }
                } ?? true
            if hasRecipient { ids.append(id) }
        }
        return ids
    }
}

extension Octets {
    /// ASCII case does not count.
    fileprivate static func hasSameLetters(_ left: String, _ right: String) -> Bool {
        func lowered(_ octet: UInt8) -> UInt8 { (65...90).contains(octet) ? octet + 32 : octet }
        return left.utf8.count == right.utf8.count
            && zip(left.utf8, right.utf8).allSatisfy { lowered($0) == lowered($1) }
    }
}
