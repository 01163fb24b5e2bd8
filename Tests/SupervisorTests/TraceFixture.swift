import Configuration
import Glibc
import ProgramKit
import SpoolFormat
import Telemetry

@testable import Supervisor

/// Logs and a spool for `zmailer trace`, in a folder of their own.
final class TraceFixture {
    let root: String
    var environment: ZEnvironment { ZEnvironment(values: ["LOGDIR": "\(root)/log", "POSTOFFICE": "\(root)/po"]) }

    /// Milliseconds since 1970 of the first line.
    static let start: Int64 = 1_795_237_801_000

    init() throws {
        var template = Array("/tmp/zt-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw UsageError("mkdtemp") }
        root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        for folder in ["log", "po", "po/router", "po/queue", "po/transport", "po/deferred", "po/freezer", "po/postman"]
        {
            mkdir("\(root)/\(folder)", 0o755)
        }
    }

    deinit { system("rm -rf '\(root)'") }

    /// A name made `seconds` behind the start; `number` tells those of one moment apart.
    static func name(_ seconds: Int64, _ number: UInt64 = 1) -> SpoolID {
        SpoolID(rawValue: UInt64(start + seconds * 1000) << 22 | number)
    }

    static func session(_ seconds: Int64, _ number: UInt64 = 1) -> String {
        String(name(seconds, number).rawValue, radix: 36)
    }

    static func line(_ seconds: Int64, _ rest: String) -> String {
        let time = LogRecord(
            milliseconds: start + seconds * 1000, program: "", pid: 0, level: "", event: "", fields: []
        ).time
        return "\(time) \(rest)\n"
    }

    func write(_ text: String, to path: String) throws {
        guard let file = fopen("\(root)/\(path)", "w") else { throw UsageError(path) }
        let octets = Array(text.utf8)
        fwrite(octets, 1, octets.count, file)
        fclose(file)
    }

    func run(
        _ subject: TraceSubject, logs: [String]? = nil, limit: Int = .max, newest: Int = 10
    ) -> TraceReport {
        var remarks: [String] = []
        let sources = logs?.compactMap { LogSource($0) } ?? LogSource.all(in: "\(root)/log", unread: &remarks)
        return TraceCommand.trace(
            environment, subject, sources, TraceSearch.Options(limit: limit, newest: newest), remarks)
    }

    func run(_ text: String) throws -> TraceReport {
        guard let subject = TraceSubject(text) else { throw UsageError(text) }
        return run(subject)
    }

    // MARK: A scene

    static let session = session(0)
    static let message = name(1)
    static let sibling = name(1, 2)
    static let report = name(40)
    static let stranger = name(2)

    /// Two messages of one session; one of them fails, and its sender gets a notification. A third one has nothing to do with it.
    func writeScene() throws {
        let (session, message, sibling, report) = (Self.session, Self.message, Self.sibling, Self.report)
        let other = Self.session(1)
        try write(
            Self.line(
                1,
                "smtpserver[7]: info refused session=\(session) client=[192.0.2.1] from=<a@client.test> "
                    + #"command="RCPT TO:<no@example.test>" reply="550 5.1.1 no" reason="no such user""#)
                + Self.line(
                    1,
                    "smtpserver[7]: info accepted queue-id=\(message) session=\(session) client=[192.0.2.1] "
                        + "from=<a@client.test> nrcpt=1 size=1234")
                + Self.line(
                    1,
                    "smtpserver[7]: info accepted queue-id=\(sibling) session=\(session) client=[192.0.2.1] "
                        + "from=<b@client.test> nrcpt=1 size=99")
                + Self.line(
                    2,
                    "smtpserver[7]: info accepted queue-id=\(Self.stranger) session=\(other) "
                        + "client=[192.0.2.2] from=<A@Client.Test> nrcpt=1 size=99")
                + Self.line(
                    9, "smtpserver[7]: info ended session=\(session) client=[192.0.2.1] reason=timeout accepted=2"),
            to: "log/smtpserver")
        try write(
            Self.line(
                2,
                "router[8]: info routed queue-id=\(message) from=<a@client.test> size=1234 nrcpts=1 "
                    + "msgid=<one@client.test> delay=1")
                + Self.line(
                    3,
                    #"router[8]: info routed queue-id=\#(sibling) from=b@client.test size=99 nrcpts=1 msgid="<t w@x>" delay=1"#
                )
                + Self.line(
                    41, "router[8]: info routed queue-id=\(report) from=<> size=4000 nrcpts=1 msgid=<r@mx> delay=0"),
            to: "log/router")
        func delivery(_ seconds: Int64, _ id: SpoolID, _ to: String, _ status: String, _ text: String) -> String {
            Self.line(
                seconds,
                "scheduler[9]: info delivery queue-id=\(id) to=\(to) orig_to=\(to) channel=smtp host=h "
                    + "relay=\"mx (192.0.2.9)\" delay=4 dsn=5.1.1 status=\(status) text=\"\(text)\"")
        }
        try write(
            delivery(5, message, "gone@remote.test", "failed", "no such user")
                + delivery(6, sibling, "here@remote.test", "relayed", "said queue-id=\(message) x")
                + delivery(6, Self.stranger, "Gone@Remote.Test", "relayed", "fine")
                + Self.line(
                    40,
                    "scheduler[9]: info report queue-id=\(message) report-id=\(report) to=a@client.test recipients=1")
                + delivery(42, report, "a@client.test", "relayed", "fine"),
            to: "log/scheduler")
    }
}

extension TraceReport {
    /// The records, shortly.
    var found: [String] {
        events.map { event in
            switch event.content {
            case .record(let record): "\(record.program) \(record.event) \(record["queue-id"] ?? "-")"
            case .dialogue(let line, _): "dialogue \(line.kind) \(line.text)"
            }
        }
    }
}
