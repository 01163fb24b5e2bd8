import Foundation

/// Plays one row against a server: sends as it says, and compares what comes back.
struct ConformancePlayer {
    /// How the client's octets reach the server.
    enum Delivery: String, CaseIterable, Sendable {
        /// Each group of lines in one write.
        case whole = "at once"
        case lines = "line by line"
        case octets = "octet by octet"
    }

    let row: ConformanceRow
    let delivery: Delivery
    /// The row's word in addresses and contents; no other playing has it.
    let id: String
    private let connection: Connection
    private var pending: [[UInt8]] = []
    private var hostName = ""
    private var hasStatus = false
    private var lastReply: ConformanceReply?
    /// A reply that was read, and that the next step looks at.
    private var unread: ConformanceReply?
    private var transcript: [String] = []
    private(set) var faults: [String] = []

    /// How long a reply may take.
    private let patience: Duration

    init(
        _ row: ConformanceRow, _ delivery: Delivery, id: String, port: UInt16, patience: Duration = .seconds(15)
    ) throws {
        self.patience = patience
        self.row = row
        self.delivery = delivery
        self.id = id
        connection = try Connection(port: port)
    }

    /// The whole session; what was wrong, with the dialogue up to there. Nothing is played behind the first fault.
    mutating func play() -> [String] {
        do {
            if row.server.hasImplicitTLS { try connection.startTLS() }
            var isOver = false
            if !row.speaksFirst { isOver = try !greet() }
            for step in row.steps where !isOver { isOver = try !perform(step) }
            if !isOver, faults.isEmpty { try end() }
        } catch {
            note("\(error)")
        }
        guard !faults.isEmpty else { return [] }
        return [faults.joined(separator: "; ") + "\n" + transcript.suffix(40).joined(separator: "\n")]
    }

    private mutating func note(_ fault: String, at line: Int? = nil) {
        let place = line.map { "line \($0): " } ?? ""
        faults.append("\(delivery.rawValue): \(place)\(fault)")
    }

    private mutating func greet() throws -> Bool {
        if case .expect? = row.steps.first?.action { return true }
        let reply = try readReply()
        if reply.code != "220" { note("not greeted") }
        return faults.isEmpty
    }

    /// Whether the session goes on.
    private mutating func perform(_ step: ConformanceStep) throws -> Bool {
        switch step.action {
        case .send(let template):
            pending.append(template.octets(id: id))
        case .expect(let pattern):
            try flush()
            let reply = try readReply()
            if let fault = pattern.fault(of: reply, id: id) { note(fault, at: step.line) }
        case .expectLine(let glob):
            if lastReply?.lines.contains(where: { glob.matches($0.text, id: id) }) != true {
                note("no line like \"\(glob)\"", at: step.line)
            }
        case .forbidLine(let glob):
            if lastReply?.lines.contains(where: { glob.matches($0.text, id: id) }) == true {
                note("a line like \"\(glob)\"", at: step.line)
            }
        case .close(let maySayMore):
            try flush()
            try expectEnd(at: step.line, maySayMore: maySayMore)
            return false
        case .endOfInput:
            try flush()
            connection.shutdownSending()
            transcript.append("C closes its side")
        case .drop:
            try flush()
            connection.abandon()
            return false
        case .startTLS:
            // Whatever was sent in clear text with STARTTLS is on its way already.
            try flush()
            try connection.startTLS()
            transcript.append("TLS")
            hasStatus = false
        case .scram(let user, let password, let isBound):
            try flush()
            try authenticate(user, password, isBound: isBound)
        case .stored:
            break
        }
        return faults.isEmpty
    }

    /// RFC 5802 §5, within RFC 4954 §4; what the server says at last is left for the next step.
    private mutating func authenticate(_ user: String, _ password: String, isBound: Bool) throws {
        let binding = isBound ? try connection.tls?.exporterBinding() : nil
        if isBound, binding == nil { throw HarnessError("-PLUS needs TLS") }
        var client = SCRAMClient(user: user, password: password, binding: binding)
        func encoded(_ text: String) -> String { Data(text.utf8).base64EncodedString() }
        func decoded(_ reply: ConformanceReply) -> String {
            String(decoding: Data(base64Encoded: reply.lines.last?.text ?? "") ?? Data(), as: UTF8.self)
        }
        let mechanism = isBound ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256"
        pending.append(Array("AUTH \(mechanism) \(encoded(client.clientFirst))\r\n".utf8))
        try flush()
        let first = try readReply()
        guard first.code == "334" else { return unread = first }
        pending.append(Array((try encoded(client.answer(decoded(first))) + "\r\n").utf8))
        try flush()
        let last = try readReply()
        guard last.code == "334" else { return unread = last }
        if !client.accepts(decoded(last)) { note("the server does not know the password itself: \(decoded(last))") }
        pending.append([13, 10])
        try flush()
    }

    /// Every session that is still open ends in step: QUIT is answered, and nothing was left unread.
    private mutating func end() throws {
        pending.append(Array("QUIT\r\n".utf8))
        try flush()
        let reply = try readReply()
        if reply.code != "221" { note("QUIT was not answered 221: the replies are out of step") }
        try expectEnd(at: nil)
    }

    private mutating func expectEnd(at line: Int?, maySayMore: Bool = false) throws {
        let rest = try connection.remainder(deadline: patience)
        guard let rest else { return note("the server did not close", at: line) }
        transcript.append("S closes")
        if !rest.isEmpty, !maySayMore {
            note("more was said: \(String(decoding: rest.prefix(300), as: UTF8.self))", at: line)
        }
    }

    // MARK: octets

    private mutating func flush() throws {
        guard !pending.isEmpty else { return }
        for octets in pending { transcript.append("C " + Self.shown(octets)) }
        do {
            switch delivery {
            case .whole: try connection.send(Array(pending.joined()))
            case .lines: for octets in pending { try connection.send(octets) }
            case .octets: for octet in pending.joined() { try connection.send([octet]) }
            }
        } catch let error as HarnessError where error.description.hasPrefix("send:") {
            // The server closed its side; whether it might is seen where the row reads.
        }
        pending = []
    }

    private mutating func readReply() throws -> ConformanceReply {
        if let reply = unread {
            unread = nil
            return reply
        }
        var lines: [[UInt8]] = []
        repeat {
            guard let line = try connection.read(upTo: [10], deadline: patience) else {
                throw HarnessError("the server closed the connection where a reply is due")
            }
            lines.append(line)
        } while (lines.last?.count ?? 0) > 3 && lines.last?[3] == UInt8(ascii: "-")
        let reply = ConformanceReply(lines, hasStatus: hasStatus, hostName: hostName)
        transcript.append("S \(reply)")
        lastReply = reply
        for fault in reply.faults { note(fault) }
        if reply.code == "220", hostName.isEmpty {
            hostName = reply.lines.first?.text.split(separator: " ").first.map(String.init) ?? ""
        }
        if reply.code == "250", !hostName.isEmpty, (reply.lines[0].text + " ").hasPrefix(hostName + " ") {
            if let fault = reply.keywordFault { note(fault) }
            hasStatus = reply.keywords.contains("ENHANCEDSTATUSCODES")
        }
        return reply
    }

    /// For people: what is not printable as `\xNN`, cut to a length.
    private static func shown(_ octets: [UInt8]) -> String {
        var text = ""
        for octet in octets.prefix(120) {
            switch octet {
            case 13: text += "\\r"
            case 10: text += "\\n"
            case 0x20...0x7e: text += String(UnicodeScalar(octet))
            default: text += "\\x" + (octet < 16 ? "0" : "") + String(octet, radix: 16)
            }
        }
        return octets.count > 120 ? text + "… (\(octets.count) octets)" : text
    }
}
