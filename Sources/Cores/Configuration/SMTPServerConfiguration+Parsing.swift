import MailModel

extension ZEnvironment {
    /// With the values that programs take for what zmailer.conf leaves out.
    fileprivate var withDefaults: ZEnvironment {
        var filled = self
        let defaults = [
            "POSTOFFICE": postoffice, "MAILBIN": mailbin, "MAILSHARE": mailshare, "MAILVAR": mailvar, "LOGDIR": logdir,
            "DBTYPE": "gdbm",
        ]
        for (name, value) in defaults where filled[name] == nil { filled[name] = value }
        return filled
    }
}

extension SMTPServerConfiguration {
    private static let index: [String: Parameter] = Dictionary(
        uniqueKeysWithValues: parameters.map { (asciiLowercased($0.name), $0.parameter) })

    /// Reads the whole file; every mistake is reported, with its line and what would be valid.
    ///
    /// - Parameters:
    ///   - environment: `$NAME` on PARAM lines stands for its variables.
    ///   - file: for the errors.
    public static func parse(
        _ text: String, file: String, environment: ZEnvironment
    ) throws(ConfigurationErrors) -> SMTPServerConfiguration {
        var reader = Reader(file: file, environment: environment)
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            reader.read(line.last == "\r" ? line.dropLast() : line, number: index + 1)
        }
        reader.checkWhole()
        guard reader.errors.isEmpty else { throw ConfigurationErrors(reader.errors) }
        return reader.configuration
    }

    private struct Reader {
        let file: String
        let environment: ZEnvironment
        var configuration = SMTPServerConfiguration()
        var errors: [ConfigurationError] = []
        /// Line of each parameter that was set, for checks of several together.
        var lines: [String: Int] = [:]

        init(file: String, environment: ZEnvironment) {
            self.file = file
            self.environment = environment.withDefaults
        }

        mutating func fail(_ line: Int, _ key: String, _ reason: String) {
            errors.append(ConfigurationError(file: file, line: line, key: key, reason: reason))
        }

        mutating func read(_ line: Substring, number: Int) {
            guard let first = line.first, first != "#", first != " ", first != "\t" else { return }
            let word = line.prefix { $0 != " " && $0 != "\t" }
            if word.utf8.count == 5, asciiLowercased(word) == "param" {
                readParameter(line.dropFirst(5), number: number)
            } else {
                readPattern(line, number: number)
            }
        }

        // MARK: PARAM lines

        private mutating func readParameter(_ line: Substring, number: Int) {
            let rest = line.drop { $0 == " " || $0 == "\t" }
            let name = String(rest.prefix { $0 != " " && $0 != "\t" })
            guard !name.isEmpty else {
                fail(number, "PARAM", "a name is missing")
                return
            }
            let key = "PARAM \(name)"
            guard let parameter = SMTPServerConfiguration.index[asciiLowercased(name)] else {
                fail(number, key, "unknown parameter\(SMTPServerConfiguration.suggestion(for: name))")
                return
            }
            let tail = rest.dropFirst(name.count)
            switch parameter {
            case .text(let keyPath):
                configuration[keyPath: keyPath] = String(tail.dropFirst())
                return
            case .lines(let keyPath, let limit):
                guard configuration[keyPath: keyPath].count < limit else {
                    fail(number, key, "at most \(limit) such lines are possible")
                    return
                }
                configuration[keyPath: keyPath].append(String(tail.dropFirst()))
                return
            case .number, .flag, .words, .listener, .tarpit, .policyDatabase, .spfThreshold, .onlyFalse, .unavailable:
                break
            }
            guard let arguments = words(tail) else {
                fail(number, key, "a quote is not closed")
                return
            }
            lines[asciiLowercased(name)] = number
            set(parameter, key, arguments, number)
        }

        private mutating func set(_ parameter: Parameter, _ key: String, _ arguments: [String], _ number: Int) {
            switch parameter {
            case .number(let keyPath, let range, let unit):
                let valid =
                    "a number from \(range.lowerBound) to \(range.upperBound)" + (unit.isEmpty ? "" : " (\(unit))")
                guard arguments.count == 1 else {
                    fail(number, key, arguments.isEmpty ? "needs \(valid)" : "takes one value, \(valid)")
                    return
                }
                guard let value = Int(arguments[0]), range.contains(value) else {
                    let hint = arguments[0].hasPrefix("$") ? "; \(arguments[0]) is not set in zmailer.conf" : ""
                    fail(number, key, "'\(arguments[0])' is not \(valid)\(hint)")
                    return
                }
                configuration[keyPath: keyPath] = value
            case .flag(let keyPath, let value):
                guard arguments.isEmpty else {
                    fail(number, key, "takes no value; remove '\(arguments[0])'")
                    return
                }
                configuration[keyPath: keyPath] = value
            case .words(let keyPath):
                guard !arguments.isEmpty else {
                    fail(number, key, "needs a value")
                    return
                }
                configuration[keyPath: keyPath] = arguments.joined(separator: " ")
            case .listener(let hasPort):
                setListener(hasPort, key, arguments, number)
            case .tarpit:
                guard arguments.count == 3, arguments.allSatisfy({ Int($0) != nil }) else {
                    fail(number, key, "needs three numbers: initial delay, exponent, limit")
                    return
                }
                if arguments.contains(where: { Int($0) != 0 }) {
                    fail(number, key, "not available in this version: only 0 0 0 (no delay) is")
                }
            case .policyDatabase:
                setPolicyDatabase(key, arguments, number)
            case .spfThreshold:
                let valid = SPFThreshold.allCases.map(\.rawValue).joined(separator: ", ")
                guard arguments.count == 1, let threshold = SPFThreshold(rawValue: asciiLowercased(arguments[0])) else {
                    fail(number, key, "needs one of \(valid)")
                    return
                }
                configuration.spfThreshold = threshold
            case .onlyFalse(let reason):
                guard arguments.count == 1, ["true", "false"].contains(asciiLowercased(arguments[0])) else {
                    fail(number, key, "needs true or false")
                    return
                }
                if asciiLowercased(arguments[0]) == "true" { fail(number, key, "true cannot be had: \(reason)") }
            case .unavailable(let feature):
                fail(number, key, "not available in this version (\(feature)); remove the line")
            case .text, .lines:
                preconditionFailure("handled before words are split")
            }
        }

        /// `DBTYPE path`: names of types are compared without regard to case (policy.md §3).
        private mutating func setPolicyDatabase(_ key: String, _ arguments: [String], _ number: Int) {
            let valid = "valid is gdbm and a path without its .gdbm, or text for the files of \(environment.mailvar)/db"
            guard let type = arguments.first, arguments.count <= 2 else {
                fail(
                    number, key, arguments.isEmpty ? "needs a type and a path; \(valid)" : "takes two values; \(valid)")
                return
            }
            let path = arguments.count == 2 ? arguments[1] : ""
            switch asciiLowercased(type) {
            case "gdbm":
                guard path.hasPrefix("/") else {
                    fail(
                        number, key, path.isEmpty ? "needs a path; \(valid)" : "'\(path)' is no absolute path; \(valid)"
                    )
                    return
                }
                guard !path.hasSuffix(".gdbm") else {
                    fail(number, key, "'\(path)': write the base name \(path.dropLast(5)), .gdbm is appended")
                    return
                }
                configuration.policyDatabase = .gdbm(path)
            case "text":
                // The service reads one folder; another path would be a wish that nobody fulfils.
                let folder = "\(environment.mailvar)/db"
                guard path.isEmpty || path == folder || path == "\(folder)/smtp-policy" else {
                    fail(number, key, "'\(path)': text is read from \(folder) alone; \(valid)")
                    return
                }
                configuration.policyDatabase = .files
            case "btree", "ndbm", "dbm", "bhash", "sleepyrpc":
                fail(
                    number, key,
                    "'\(type)' is not what makedb builds here: databases are gdbm; "
                        + "run policy-builder.sh with DBTYPE=gdbm and write gdbm")
            default:
                let hint = type.hasPrefix("$") ? "; \(type) is not set in zmailer.conf" : ""
                fail(number, key, "'\(type)' is no type of database; \(valid)\(hint)")
            }
        }

        private mutating func setListener(_ hasPort: Bool, _ key: String, _ arguments: [String], _ number: Int) {
            let valid =
                "valid are [a.b.c.d], [IPv6:x::y], any, any6, iface:name, iface:v4:name, iface:v6:name"
                + (hasPort ? ", each with an optional port" : "")
            guard let first = arguments.first, arguments.count <= (hasPort ? 2 : 1) else {
                fail(number, key, "needs an address; \(valid)")
                return
            }
            guard let place = SMTPServerConfiguration.place(first) else {
                let hint = first.hasPrefix("$") ? "; \(first) is not set in zmailer.conf" : ""
                fail(number, key, "'\(first)' is no address; \(valid)\(hint)")
                return
            }
            var port: Int? = hasPort ? 25 : nil
            if arguments.count == 2 {
                guard let value = Int(arguments[1]), (1...65535).contains(value) else {
                    fail(number, key, "'\(arguments[1])' is no port; valid is a number from 1 to 65535")
                    return
                }
                port = value
            }
            configuration.listeners.append(Listener(place, port: port, origin: "\(file):\(number)"))
        }

        /// Arguments, `"…"` and `'…'` taken as one, variables expanded; a `#` that begins a word ends the line.
        /// `nil` if a quote is not closed.
        private func words(_ text: Substring) -> [String]? {
            var words: [String] = []
            var rest = text
            while true {
                rest = rest.drop { $0 == " " || $0 == "\t" }
                guard let first = rest.first, first != "#" else { return words }
                let word: Substring
                if first == "\"" || first == "'" {
                    rest.removeFirst()
                    guard let close = rest.firstIndex(of: first) else { return nil }
                    word = rest[..<close]
                    rest = rest[rest.index(after: close)...]
                } else {
                    word = rest.prefix { $0 != " " && $0 != "\t" }
                    rest = rest[word.endIndex...]
                }
                words.append(environment.expanding(word))
            }
        }

        // MARK: patterns

        private mutating func readPattern(_ line: Substring, number: Int) {
            let pattern = line.prefix { $0 != " " && $0 != "\t" }
            let key = "pattern \(pattern)"
            var rest = Self.trimmed(line[pattern.endIndex...])
            var load: Int?
            let word = rest.prefix { $0 != " " && $0 != "\t" }
            let behind = Self.trimmed(rest[word.endIndex...])
            if !behind.isEmpty, word.first != "!" {
                if word == "*" {
                    rest = behind
                } else if let value = Int(word), value >= 0 {
                    load = max(2, value)
                    rest = behind
                } else {
                    fail(
                        number, key, "'\(word)' is no load average; valid is pattern [maxload] style, or pattern !text")
                    return
                }
            }
            if rest.first == "!" {
                let text = Self.trimmed(rest.dropFirst())
                configuration.patterns.append(
                    HelloPattern(GlobPattern(String(pattern)), maximumLoad: load, effect: .refuse(String(text))))
            } else if let problem = HelloPattern.styleProblem(rest) {
                fail(number, key, problem)
            } else {
                configuration.patterns.append(
                    HelloPattern(GlobPattern(String(pattern)), maximumLoad: load, effect: .style(String(rest))))
            }
        }

        private static func trimmed(_ text: Substring) -> Substring {
            var text = text.drop { $0 == " " || $0 == "\t" }
            while let last = text.last, last == " " || last == "\t" { text.removeLast() }
            return text
        }

        // MARK: the whole

        mutating func checkWhole() {
            configuration.minimumFreeKilobytes = max(1000, configuration.minimumFreeKilobytes)
            if configuration.patterns.isEmpty, errors.isEmpty {
                fail(0, "", "no HELO pattern line, so that no client would be served; usual is '* 999 ve'")
            }
            for (name, key, isOn) in [
                ("vrfycmd", "PARAM VRFYcmd", configuration.enablesVRFY),
                ("expncmd", "PARAM EXPNcmd", configuration.enablesEXPN),
            ] where isOn && !configuration.enablesRouter {
                fail(lines[name] ?? 0, key, "needs PARAM enable-router")
            }
            let ports = configuration.listeners.map { $0.port ?? configuration.port } + [configuration.port]
            if configuration.isLMTP, ports.contains(25) {
                // RFC 2033 §5.
                fail(lines["lmtp-mode"] ?? 0, "PARAM lmtp-mode", "not on port 25, which is SMTP's; set PARAM BindPort")
            }
        }
    }

    /// An address with or without brackets, `any`, `any6`, or an interface; `nil` if it is none of them.
    static func place(_ text: String) -> Listener.Place? {
        switch asciiLowercased(text) {
        case "any": return .any
        case "any6": return .anyIPv6
        default: break
        }
        if asciiLowercased(text.prefix(6)) == "iface:" {
            let parts = text.dropFirst(6).split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2, parts[0] == "v4" { return .interface(String(parts[1]), family: .ipv4) }
            if parts.count == 2, parts[0] == "v6" { return .interface(String(parts[1]), family: .ipv6) }
            return text.count > 6 ? .interface(String(text.dropFirst(6)), family: .both) : nil
        }
        return (AddressLiteral.address(in: text) ?? IPAddress(text)).map { .address($0) }
    }

    /// `; did you mean …?` with the nearest name, or a list of all there are.
    private static func suggestion(for name: String) -> String {
        let wanted = Array(asciiLowercased(name).utf8)
        let nearest = parameters.map { ($0.name, distance(wanted, Array(asciiLowercased($0.name).utf8))) }
            .min { $0.1 < $1.1 }
        if let (name, distance) = nearest, distance <= max(2, wanted.count / 4) { return "; did you mean \(name)?" }
        return "; valid are "
            + parameters.compactMap { entry in
                if case .unavailable = entry.parameter { nil } else { entry.name }
            }.joined(separator: " ")
    }

    /// Letters to insert, remove or replace.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        guard left.count <= 64 else { return left.count }
        var row = Array(0...right.count)
        for (index, octet) in left.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in 0..<right.count {
                let above = row[column + 1]
                row[column + 1] = min(above + 1, row[column] + 1, diagonal + (octet == right[column] ? 0 : 1))
                diagonal = above
            }
        }
        return row[right.count]
    }
}
