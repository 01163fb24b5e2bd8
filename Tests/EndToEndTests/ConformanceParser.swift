/// Reads `.smtp` files. All mistakes are found, each with its place.
struct ConformanceParser {
    /// The sections that each RFC has; a reference to any other is a mistake.
    let sections: [Int: Set<String>]
    private(set) var rows: [ConformanceRow] = []
    /// `file:line: what is wrong`.
    private(set) var mistakes: [String] = []

    private var file = ""
    private var number = 0
    private var defaultServer: ConformanceServer?
    private var draft: Draft?
    private var names: Set<String> = []

    /// A row as far as it has been read.
    private struct Draft {
        let name: String
        let line: Int
        var references: [ConformanceReference] = []
        var server: ConformanceServer?
        var isSplit = false
        var speaksFirst = false
        var deviation: String?
        var steps: [ConformanceStep] = []
        /// Where a `repeat` began, and how many rounds it has.
        var loop: (start: Int, rounds: Int)?
        /// The last step is a `C:` line.
        var awaitsReply = false
        /// Something in it could not be read: it is not played.
        var isFaulty = false
    }

    init(sections: [Int: Set<String>]) { self.sections = sections }

    /// - Parameter text: of `Conformance/sections`: a line each document, its number and those of its sections.
    static func sections(_ text: String) -> [Int: Set<String>] {
        var result: [Int: Set<String>] = [:]
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let words = line.split(separator: " ")
            guard let document = words.first.flatMap({ Int($0) }) else { continue }
            result[document] = Set(words.dropFirst().map(String.init))
        }
        return result
    }

    mutating func read(_ text: String, file: String) {
        self.file = file
        defaultServer = nil
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            number = index + 1
            if line.isEmpty || line.hasPrefix("#") { continue }
            do throws(ConformanceMistake) {
                try read(line)
            } catch {
                mistakes.append("\(file):\(number): \(error)")
                draft?.isFaulty = true
            }
        }
        finish()
    }

    private mutating func read(_ line: Substring) throws(ConformanceMistake) {
        if line.hasPrefix("== ") {
            finish()
            draft = Draft(name: String(line.dropFirst(3)), line: number)
            return
        }
        let word = line.prefix { $0 != " " }
        let rest = line.dropFirst(word.count + 1)
        if word == "needs" {
            guard let server = ConformanceServer(rawValue: String(rest)) else {
                let valid = ConformanceServer.allCases.map(\.rawValue).joined(separator: ", ")
                throw ConformanceMistake("needs \(rest): valid are \(valid)")
            }
            if draft == nil { defaultServer = server } else { draft?.server = server }
            return
        }
        guard draft != nil else { throw ConformanceMistake("a line before the first row, which begins with \"== \"") }
        if try readHead(word, rest, line) { return }
        if try readStored(word, rest, line) { return }
        try readStep(word, rest)
    }

    // MARK: what stands above the steps

    private mutating func readHead(
        _ word: Substring, _ rest: Substring, _ line: Substring
    ) throws(ConformanceMistake) -> Bool {
        switch word {
        case "RFC":
            let references = try line.split(separator: ";").map { text throws(ConformanceMistake) in
                try reference(text)
            }
            draft?.references += references
        case "split":
            guard rest == "every" else { throw ConformanceMistake("valid is: split every") }
            draft?.isSplit = true
        case "speaks":
            guard rest == "first" else { throw ConformanceMistake("valid is: speaks first") }
            draft?.speaksFirst = true
        case "deviates":
            guard !rest.isEmpty else { throw ConformanceMistake("deviates needs a reason") }
            draft?.deviation = String(rest)
        default:
            return false
        }
        guard draft?.steps.isEmpty == true else { throw ConformanceMistake("\(word) stands above the steps") }
        return true
    }

    private func reference(_ text: Substring) throws(ConformanceMistake) -> ConformanceReference {
        let words = text.split(separator: " ")
        var section: Substring?
        if words.count == 3, words[2].hasPrefix("§") { section = words[2].dropFirst() }
        if words.count == 4, words[2] == "Appendix" { section = words[3] }
        guard words.first == "RFC", let document = words.dropFirst().first.flatMap({ Int($0) }), let section else {
            throw ConformanceMistake("\(text): a reference is RFC 5321 §4.1.4 or RFC 5321 Appendix C")
        }
        guard let known = sections[document] else {
            throw ConformanceMistake("RFC \(document) is not in Conformance/sections")
        }
        guard known.contains(String(section)) else {
            throw ConformanceMistake("RFC \(document) has no section \(section)")
        }
        return ConformanceReference(document: document, section: String(section))
    }

    // MARK: steps

    private mutating func readStep(_ word: Substring, _ rest: Substring) throws(ConformanceMistake) {
        switch word {
        case "C:":
            try add(.send(try ConformanceTemplate(rest) + [13, 10]))
            draft?.awaitsReply = true
        case "C+": try add(.send(try ConformanceTemplate(rest) + [13, 10]))
        case "raw": try add(.send(try ConformanceTemplate(rest)))
        case "S:": try add(.expect(try ConformanceReplyPattern(String(rest))))
        case "S-": try add(.expectLine(ConformanceGlob(String(rest))))
        case "S!": try add(.forbidLine(ConformanceGlob(String(rest))))
        case "repeat":
            guard let rounds = Int(rest), (1...10000).contains(rounds), let draft, draft.loop == nil else {
                throw ConformanceMistake("repeat takes a number, and does not stand in another one")
            }
            self.draft?.loop = (draft.steps.count, rounds)
        case "end":
            try endLoop()
        case "scram", "scram-plus":
            let words = rest.split(separator: " ").map(String.init)
            guard words.count == 2 else { throw ConformanceMistake("\(word) takes a user and a password") }
            try add(.scram(user: words[0], password: words[1], isBound: word == "scram-plus"))
        case "close" where rest == "*": try add(.close(maySayMore: true))
        default:
            guard rest.isEmpty else { throw ConformanceMistake("\(word): no such step") }
            switch word {
            case "close": try add(.close(maySayMore: false))
            case "eof": try add(.endOfInput)
            case "drop": try add(.drop)
            case "starttls": try add(.startTLS)
            default: try addPhrase(word)
            }
        }
    }

    /// What most rows begin with.
    private mutating func addPhrase(_ word: Substring) throws(ConformanceMistake) {
        let lines: [String]
        switch word {
        case "ehlo": lines = ["C: EHLO client.test", "S: 250"]
        case "helo": lines = ["C: HELO client.test", "S: 250"]
        case "lhlo": lines = ["C: LHLO client.test", "S: 250"]
        case "mail": lines = ["C: MAIL FROM:<{id}@client.test>", "S: 250 2.1.0"]
        case "rcpt": lines = ["C: RCPT TO:<box@relay.test>", "S: 250 2.1.5"]
        case "data": lines = ["C: DATA", "S: 354"]
        case "message": lines = ["C+ Subject: {id}", "C+ ", "C+ text", "C: .", "S: 250 2.0.0"]
        default: throw ConformanceMistake("\(word): no such step")
        }
        for line in lines { try readStep(line.prefix(2), line.dropFirst(3)) }
    }

    private mutating func add(_ action: ConformanceStep.Action) throws(ConformanceMistake) {
        let step = ConformanceStep(line: number, action: action)
        if draft?.awaitsReply == true, !step.reads {
            throw ConformanceMistake("a reply is due here: C+ is a line that does not wait for one")
        }
        if case .stored? = draft?.steps.last?.action, !step.isAboutStorage {
            throw ConformanceMistake("what is stored is said at the end")
        }
        draft?.awaitsReply = false
        draft?.steps.append(step)
    }

    private mutating func endLoop() throws(ConformanceMistake) {
        guard let loop = draft?.loop, let steps = draft?.steps, loop.start < steps.count else {
            throw ConformanceMistake("end without repeat, or nothing between them")
        }
        let body = steps[loop.start...]
        draft?.steps.removeLast(body.count)
        for round in 1...loop.rounds { draft?.steps += body.map { $0.inRound(round) } }
        draft?.loop = nil
    }

    // MARK: what is stored

    private mutating func readStored(
        _ word: Substring, _ rest: Substring, _ line: Substring
    ) throws(ConformanceMistake) -> Bool {
        switch word {
        case "stored":
            if rest.isEmpty {
                try add(.stored(.content(ConformanceTemplate(octets: []))))
            } else if let count = rest == "none" ? 0 : Int(rest) {
                try add(.stored(.count(count)))
            } else {
                throw ConformanceMistake("stored is followed by none, a number, or nothing and lines that begin with |")
            }
        case "mail" where !rest.isEmpty: try add(.stored(.mail(ConformanceGlob(String(rest)))))
        case "rcpt" where !rest.isEmpty: try add(.stored(.recipient(ConformanceGlob(String(rest)))))
        case "trace": try add(.stored(.trace(ConformanceGlob(String(rest)))))
        case "head": try add(.stored(.field(ConformanceGlob(String(rest)))))
        case "|", "|=":
            guard case .stored(.content(let template))? = draft?.steps.last?.action, let draft else {
                throw ConformanceMistake("\(word) stands below stored")
            }
            let added = try ConformanceTemplate(rest) + (word == "|" ? [13, 10] : [])
            self.draft?.steps[draft.steps.count - 1] = ConformanceStep(
                line: number, action: .stored(.content(template + added)))
        default: return false
        }
        return true
    }

    // MARK: a row's end

    private mutating func finish() {
        guard let draft else { return }
        self.draft = nil
        if draft.isFaulty { return }
        var faults: [String] = []
        let server = draft.server ?? defaultServer
        if server == nil { faults.append("no needs, neither of it nor of the file") }
        if draft.references.isEmpty { faults.append("no reference") }
        if draft.steps.isEmpty { faults.append("no steps") }
        if draft.awaitsReply { faults.append("the last C: is not answered") }
        if draft.loop != nil { faults.append("repeat without end") }
        if !names.insert("\(server?.rawValue ?? "") \(draft.name)").inserted {
            faults.append("another row has that name")
        }
        mistakes += faults.map { "\(file):\(draft.line): \(draft.name): \($0)" }
        guard let server, faults.isEmpty else { return }
        rows.append(
            ConformanceRow(
                place: "\(file):\(draft.line)", name: draft.name, references: draft.references, server: server,
                isSplit: draft.isSplit, speaksFirst: draft.speaksFirst, deviation: draft.deviation, steps: draft.steps))
    }
}

extension ConformanceStep {
    fileprivate var isAboutStorage: Bool {
        if case .stored = action { true } else { false }
    }

    fileprivate func inRound(_ round: Int) -> Self {
        switch action {
        case .send(let template): Self(line: line, action: .send(template.inRound(round)))
        case .expect, .expectLine, .forbidLine, .close, .endOfInput, .drop, .startTLS, .scram, .stored: self
        }
    }
}
