import MailModel

extension SchedulerConfiguration {
    /// Reads scheduler.conf; `${NAME}` in values are those of `environment`. All mistakes are reported together.
    public static func parse(
        _ text: String, file: String, environment: ZEnvironment
    ) throws(ConfigurationErrors) -> SchedulerConfiguration {
        var reader = Reader(file: file, environment: environment)
        var number = 0
        // By octets: as Characters, CRLF is one and no newline.
        for octets in Octets.split(Array(text.utf8)[...], at: 0x0a) {
            let line = Substring(Octets.text(octets.last == 0x0d ? octets.dropLast() : octets))
            number += 1
            reader.read(line, number)
        }
        return try reader.finish()
    }
}

private struct Reader {
    let file: String
    let environment: ZEnvironment
    var clauses: [SchedulerClause] = []
    /// Patterns of clauses that have set nothing so far: they share what the next one sets.
    var waiting: [(pattern: SchedulerPattern, line: Int)] = []
    var parameters = SchedulerParameters()
    var errors: [ConfigurationError] = []
    private var isInClause = false
    /// The clause's pattern could not be read; its values are checked all the same.
    private var hasBadPattern = false
    /// Of `PARAMmailqsock`.
    private var mailqLine = 0

    init(file: String, environment: ZEnvironment) {
        self.file = file
        self.environment = environment
    }

    mutating func fail(_ line: Int, _ key: String, _ reason: String) {
        errors.append(ConfigurationError(file: file, line: line, key: key, reason: reason))
    }

    mutating func read(_ line: Substring, _ number: Int) {
        let isIndented = line.first == " " || line.first == "\t"
        let tokens: [SchedulerToken]
        switch SchedulerToken.split(line) {
        case .success(let found): tokens = found
        case .failure(let problem):
            fail(number, "", problem.reason)
            return
        }
        guard let first = tokens.first else { return }
        if !isIndented, first.name.hasPrefix("PARAM") {
            parameter(tokens, number)
            return
        }
        var values = tokens[...]
        if !isIndented {
            values = values.dropFirst()
            begin(first.text, number)
        } else if !isInClause {
            fail(number, first.name, "stands before the first clause; a clause begins with channel/host in column 1")
            return
        }
        for token in values { keyword(token, number) }
    }

    private mutating func begin(_ text: String, _ number: Int) {
        isInClause = true
        hasBadPattern = false
        guard let pattern = SchedulerPattern(text) else {
            hasBadPattern = true
            fail(number, text, "is not a pattern; valid is channel/host with * ? [a-z] {a,b}")
            return
        }
        waiting.append((pattern, number))
    }

    /// The clause that values go to; an empty one in front of it joins it.
    private mutating func keyword(_ token: SchedulerToken, _ number: Int) {
        if !waiting.isEmpty {
            var clause = SchedulerClause(pattern: waiting[0].pattern, line: waiting[0].line)
            clause.patterns = waiting.map(\.pattern)
            waiting = []
            clauses.append(clause)
        }
        let written = asciiLowered(token.name)
        let key = SchedulerKeyword.aliases[written] ?? written
        var scratch = SchedulerClause(pattern: Self.nothing, line: number)
        let target = hasBadPattern || clauses.isEmpty ? nil : clauses.count - 1
        if let target { scratch = clauses[target] }
        if key == "command" {
            switch command(token.value ?? "") {
            case .success(let command): scratch.command = command
            case .failure(let problem): fail(number, key, problem.reason)
            }
        } else if let setter = SchedulerKeyword.table[key] {
            switch expanded(token.value ?? "", allowing: []) {
            case .success(let value):
                if let reason = setter(&scratch, token.value == nil ? nil : value) { fail(number, key, reason) }
            case .failure(let problem): fail(number, key, problem.reason)
            }
        } else {
            fail(number, key, "is not a keyword; valid are \(SchedulerKeyword.names)")
        }
        // nice and priority are two ways to say one thing: the last one holds.
        if key == "nice" { scratch.sources["priority"] = nil }
        if key == "priority" { scratch.sources["nice"] = nil }
        scratch.sources[key] = SchedulerValueSource(line: number, text: token.value ?? "yes")
        if let target { clauses[target] = scratch }
    }

    private static let nothing: SchedulerPattern = {
        guard let pattern = SchedulerPattern("-/-") else { preconditionFailure("a pattern without braces is valid") }
        return pattern
    }()

    private mutating func parameter(_ tokens: [SchedulerToken], _ number: Int) {
        var name = String(tokens[0].name.dropFirst(5))
        var value = tokens[0].value
        var rest = tokens.dropFirst()
        // PARAMname = value may have blanks around its sign.
        if value == nil, let sign = rest.first, sign.name.isEmpty {
            value = sign.value
            rest = rest.dropFirst()
            if value?.isEmpty ?? true, let next = rest.first {
                value = next.text
                rest = rest.dropFirst()
            }
        } else if value?.isEmpty ?? false, let next = rest.first {
            value = next.text
            rest = rest.dropFirst()
        }
        name = asciiLowered(name)
        let key = "PARAM\(name)"
        guard rest.isEmpty else {
            fail(number, key, "has more than one value; a value with blanks needs quotes")
            return
        }
        switch name {
        case "global-report-interval":
            guard let value, let time = SchedulerTime.parse(value), time > .zero else {
                fail(number, key, "'\(value ?? "")' is not a time; valid are forms like 15m, 1h")
                return
            }
            parameters.reportInterval = time
        case "double-fault": doubleFault(value ?? "", number)
        case "store-error-on-error":
            switch value.map({ asciiLowered($0) }) {
            case nil, "", "yes", "true", "1", "on": parameters.storesErrorOnError = true
            case "no", "false", "0", "off": parameters.storesErrorOnError = false
            case let other?: fail(number, key, "'\(other)' is not valid; yes or no")
            }
        case "authfile", "mailqsock", "mailqpath": mailq(name, value ?? "", number)
        case "notifysock": notifySocket(value ?? "", number)
        case "msgwriteasync":
            switch value.map({ asciiLowered($0) }) {
            case nil, "", "yes", "true", "1", "on": parameters.writesAsynchronously = true
            case "no", "false", "0", "off":
                fail(
                    number, key,
                    "cannot be switched off: records are always written beside the loop; remove it, or =yes")
            case let other?: fail(number, key, "'\(other)' is not valid; the word alone, or =yes")
            }
        default: fail(number, key, "is not a parameter; valid are \(Self.parameterNames)")
        }
    }

    private static let parameterNames =
        "PARAMauthfile PARAMdouble-fault PARAMglobal-report-interval PARAMmailqpath PARAMmailqsock PARAMmsgwriteasync PARAMnotifysock"
        + " PARAMstore-error-on-error"

    private mutating func notifySocket(_ text: String, _ number: Int) {
        switch expanded(text, allowing: []) {
        case .failure(let problem): fail(number, "PARAMnotifysock", problem.reason)
        case .success(let value):
            let path = asciiLowered(value.prefix(5)) == "unix:" ? String(value.dropFirst(5)) : value
            guard path.hasPrefix("/") else {
                return fail(number, "PARAMnotifysock", "'\(value)' is not valid; valid is UNIX:/path")
            }
            parameters.notifySocket = path
        }
    }

    private mutating func mailq(_ name: String, _ text: String, _ number: Int) {
        let key = "PARAM\(name)"
        let value: String
        switch expanded(text, allowing: []) {
        case .success(let text): value = text
        case .failure(let problem): return fail(number, key, problem.reason)
        }
        if name == "authfile" {
            guard value.hasPrefix("/") else {
                return fail(number, key, "'\(value)' is not valid; valid is an absolute path")
            }
            parameters.authFile = value
            return
        }
        guard let socket = MailqSocket(value) else {
            return fail(number, key, "'\(value)' is not valid; valid are \(MailqSocket.valid)")
        }
        parameters.mailqSocket = socket
        mailqLine = number
    }

    private mutating func doubleFault(_ text: String, _ number: Int) {
        let addresses = text.split { $0 == "," || $0 == " " }.map(String.init)
        let isValid = { (address: String) in
            address.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f && $0 != 0x3c && $0 != 0x3e }
                && !address.hasPrefix("@") && !address.hasSuffix("@")
        }
        guard !addresses.isEmpty, addresses.allSatisfy(isValid) else {
            return fail(
                number, "PARAMdouble-fault",
                "'\(text)' is not valid; valid are addresses with commas between them, as in postmaster, or no")
        }
        parameters.doubleFaultAddresses = addresses == ["no"] ? [] : addresses
    }

    mutating func finish() throws(ConfigurationErrors) -> SchedulerConfiguration {
        for (pattern, line) in waiting {
            fail(line, pattern.text, "is empty and no clause follows whose values it could take")
        }
        if parameters.mailqSocket != nil, parameters.authFile == nil {
            fail(mailqLine, "PARAMmailqsock", "needs PARAMauthfile: nobody could log in")
        }
        if errors.isEmpty, !clauses.contains(where: { $0.command != nil }) {
            fail(0, "command", "no clause has one: nothing would ever be delivered")
        }
        guard errors.isEmpty else { throw ConfigurationErrors(errors.sorted { $0.line < $1.line }) }
        return SchedulerConfiguration(clauses: clauses, parameters: parameters)
    }

    private func command(_ value: String) -> Result<SchedulerCommand, SchedulerProblem> {
        var words: [String] = []
        for token in value.split(whereSeparator: { $0 == " " || $0 == "\t" }) {
            switch expanded(String(token), allowing: ["channel", "host"]) {
            case .success(let word): words.append(word)
            case .failure(let problem): return .failure(problem)
            }
        }
        let assignments = words.prefix { word in
            word.firstIndex(of: "=").map { SchedulerToken.isName(word[..<$0]) } ?? false
        }
        let rest = words.dropFirst(assignments.count)
        guard let program = rest.first else {
            return .failure(SchedulerProblem("names no program; valid is [VAR=value ...] program arguments"))
        }
        guard !program.contains("/"), !program.hasPrefix("."), !program.contains("$") else {
            return .failure(SchedulerProblem("'\(program)' is not the name of a file in $MAILBIN/ta"))
        }
        return .success(
            SchedulerCommand(environment: Array(assignments), program: program, arguments: Array(rest.dropFirst())))
    }

    /// With `${NAME}` and `$NAME` replaced; a name that zmailer.conf does not set is a mistake.
    private func expanded(_ text: String, allowing kept: [String]) -> Result<String, SchedulerProblem> {
        var out = ""
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$") {
            out += rest[..<dollar]
            rest = rest[rest.index(after: dollar)...]
            let isBraced = rest.first == "{"
            if isBraced { rest = rest.dropFirst() }
            let name = rest.prefix { $0 == "_" || ($0.isASCII && ($0.isLetter || $0.isNumber)) }
            rest = rest.dropFirst(name.count)
            if isBraced {
                guard rest.first == "}" else { return .failure(SchedulerProblem("'${\(name)' is not closed")) }
                rest = rest.dropFirst()
            }
            if let value = environment[String(name)] {
                out += value
            } else if kept.contains(String(name)) {
                out += "$\(name)"
            } else {
                return .failure(
                    SchedulerProblem(
                        "$\(name) is not set in zmailer.conf"
                            + (kept.isEmpty ? "" : "; valid are its names, $channel and $host")))
            }
        }
        return .success(out + rest)
    }
}

private func asciiLowered(_ text: some StringProtocol) -> String {
    String(decoding: text.utf8.map { (65...90).contains($0) ? $0 + 32 : $0 }, as: UTF8.self)
}
