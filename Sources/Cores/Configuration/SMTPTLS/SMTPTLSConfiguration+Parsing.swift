import MailModel

extension SMTPTLSConfiguration {
    /// What a line begins with.
    enum Keyword: String, CaseIterable {
        case certificateFile = "tls-cert-file"
        case keyFile = "tls-key-file"
        case authorityFile = "tls-CAfile"
        case authorityFolder = "tls-CApath"
        case logLevel = "tls-loglevel"
        case randomSource = "tls-random-source"
        case sessionLifetime = "tls-scache-timeout"
        case noReadAhead = "no-tls-readahead"
        case demand = "demand-tls-mode"
        case destination

        static func named(_ text: Substring) -> Keyword? {
            let wanted = asciiLowercased(text)
            return allCases.first { asciiLowercased($0.rawValue) == wanted }
        }
    }

    /// What may follow the level of a `destination` line.
    enum Option: String, CaseIterable {
        case match
        case authorityFile = "CAfile"
        case ciphers
        case protocols
        case fingerprint
        case wrapper
    }

    /// Reads the whole file; every mistake is reported, with its line and what would be valid. Variables are not expanded.
    ///
    /// - Parameter file: for the errors.
    public static func parse(_ text: String, file: String) throws(ConfigurationErrors) -> SMTPTLSConfiguration {
        var reader = Reader(file: file)
        for (index, line) in Octets.split(Array(text.utf8)[...], at: 0x0a).enumerated() {
            reader.read(Octets.text(line), number: index + 1)
        }
        reader.checkWhole()
        guard reader.errors.isEmpty else { throw ConfigurationErrors(reader.errors) }
        return reader.configuration
    }

    private struct Reader {
        let file: String
        var configuration = SMTPTLSConfiguration()
        var errors: [ConfigurationError] = []
        /// Of the last line with each keyword.
        var lines: [Keyword: Int] = [:]

        init(file: String) { self.file = file }

        mutating func fail(_ line: Int, _ key: String, _ reason: String) {
            errors.append(ConfigurationError(file: file, line: line, key: key, reason: reason))
        }

        mutating func read(_ line: String, number: Int) {
            var words = line.split { $0 == " " || $0 == "\t" || $0 == "\r" }
            if let comment = words.firstIndex(where: { $0.first == "#" }) { words.removeSubrange(comment...) }
            guard let first = words.first else { return }
            guard let keyword = Keyword.named(first) else {
                let valid = Keyword.allCases.map(\.rawValue).joined(separator: ", ")
                return fail(number, String(first), "is not a keyword; valid are \(valid)")
            }
            lines[keyword] = number
            let arguments = Array(words.dropFirst())
            let key = keyword.rawValue
            switch keyword {
            case .certificateFile: configuration.certificateFile = path(key, arguments, number)
            case .keyFile: configuration.keyFile = path(key, arguments, number)
            case .authorityFile: configuration.authorityFile = path(key, arguments, number)
            case .authorityFolder: configuration.authorityFolder = path(key, arguments, number)
            case .logLevel:
                if let level = self.number(key, arguments, in: SMTPTLSConfiguration.logLevels, number) {
                    configuration.logLevel = level
                }
            case .sessionLifetime:
                let range = SMTPTLSConfiguration.sessionLifetimes
                if let seconds = self.number(key, arguments, in: range, unit: " of seconds", number) {
                    configuration.sessionLifetime = .seconds(seconds)
                }
            case .randomSource:
                // OpenSSL gets its randomness from the kernel.
                if arguments.count != 1 { fail(number, key, "takes one value, which has no effect") }
            case .noReadAhead:
                if !arguments.isEmpty { fail(number, key, "takes no value; remove '\(arguments[0])'") }
            case .demand:
                if !arguments.isEmpty { fail(number, key, "takes no value; remove '\(arguments[0])'") }
                configuration.demandsTLS = true
            case .destination: readDestination(arguments, number)
            }
        }

        private mutating func path(_ key: String, _ arguments: [Substring], _ number: Int) -> String? {
            guard arguments.count == 1, arguments[0].first == "/" else {
                let what = arguments.count == 1 ? "'\(arguments[0])' is no absolute path" : "takes one value"
                fail(number, key, "\(what); valid is a path that begins with / (variables are not expanded)")
                return nil
            }
            return String(arguments[0])
        }

        private mutating func number(
            _ key: String, _ arguments: [Substring], in range: ClosedRange<Int>, unit: String = "", _ number: Int
        ) -> Int? {
            guard arguments.count == 1, let value = Int(arguments[0]), range.contains(value) else {
                let what = arguments.count == 1 ? "'\(arguments[0])' is not valid" : "takes one value"
                fail(number, key, "\(what); valid is a number\(unit) from \(range.lowerBound) to \(range.upperBound)")
                return nil
            }
            return value
        }

        // MARK: destination lines

        private mutating func readDestination(_ arguments: [Substring], _ number: Int) {
            guard configuration.destinations.count < SMTPTLSConfiguration.maximumDestinations else {
                return fail(
                    number, "destination", "at most \(SMTPTLSConfiguration.maximumDestinations) such lines are possible"
                )
            }
            guard arguments.count >= 2 else {
                return fail(number, "destination", "needs a pattern and a level; valid levels are \(Self.levels)")
            }
            let key = "destination \(arguments[0])"
            let pattern = SMTPTLSConfiguration.Destination.Pattern(arguments[0])
            if pattern == nil {
                let forms = SMTPTLSConfiguration.Destination.Pattern.forms
                fail(number, key, "is not a pattern; valid are \(forms)")
            }
            let level = TLSPolicy.Level(rawValue: asciiLowercased(arguments[1]))
            if level == nil { fail(number, key, "'\(arguments[1])' is not a level; valid are \(Self.levels)") }
            var policy = TLSPolicy(level: level ?? .may)
            for argument in arguments.dropFirst(2) {
                let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let value = parts.count == 2 ? parts[1] : nil
                let option = Option.allCases.first { asciiLowercased($0.rawValue) == asciiLowercased(parts[0]) }
                if let reason = option.map({ Self.set($0, value, &policy) }) ?? Self.unknown(parts[0]) {
                    fail(number, key, reason)
                }
            }
            guard let pattern, level != nil else { return }
            check(policy, hasOptions: arguments.count > 2, key, number)
            configuration.destinations.append(SMTPTLSConfiguration.Destination(pattern, policy, line: number))
        }

        private static var levels: String { TLSPolicy.Level.allCases.map(\.rawValue).joined(separator: ", ") }

        private static func unknown(_ name: Substring) -> String? {
            let valid = Option.allCases.map { $0 == .wrapper ? $0.rawValue : "\($0.rawValue)=" }
            return "'\(name)' is not an option; valid are \(valid.joined(separator: ", "))"
        }

        /// Why it cannot be set; `nil` if it was.
        private static func set(_ option: Option, _ value: Substring?, _ policy: inout TLSPolicy) -> String? {
            if option == .wrapper {
                policy.isWrapped = true
                return value == nil ? nil : "wrapper takes no value"
            }
            guard let value, !value.isEmpty else { return "\(option.rawValue) needs a value: \(option.rawValue)=…" }
            switch option {
            case .wrapper: break
            case .match: return setNames(value, &policy)
            case .authorityFile:
                guard value.first == "/" else {
                    return "CAfile '\(value)' is no absolute path; valid is a path that begins with /"
                }
                policy.authorityFile = String(value)
            case .ciphers:
                let isValid = value.utf8.allSatisfy { (0x21...0x7e).contains($0) && $0 != UInt8(ascii: ",") }
                guard isValid else { return "ciphers '\(value)' is not in OpenSSL's notation, like HIGH:!aNULL" }
                policy.ciphers = String(value)
            case .protocols:
                guard let range = versions(value) else {
                    let names = TLSPolicy.ProtocolVersion.allCases.map(\.rawValue).joined(separator: ", ")
                    return "protocols '\(value)' is not valid; valid are >=VERSION and VERSION, of \(names)"
                }
                policy.protocols = range
            case .fingerprint:
                for text in value.split(separator: ",", omittingEmptySubsequences: false) {
                    guard let fingerprint = TLSPolicy.Fingerprint(text) else {
                        return "fingerprint '\(text)' is not valid; valid is \(TLSPolicy.Fingerprint.form)"
                    }
                    policy.fingerprints.append(fingerprint)
                }
            }
            return nil
        }

        private static func setNames(_ value: Substring, _ policy: inout TLSPolicy) -> String? {
            if !policy.hasOwnNames { policy.names = [] }
            policy.hasOwnNames = true
            for text in value.split(separator: ",", omittingEmptySubsequences: false) {
                guard let name = TLSPolicy.Name(text) else {
                    return "match '\(text)' is no name; valid are \(TLSPolicy.Name.forms)"
                }
                policy.names.append(name)
            }
            return nil
        }

        private static func versions(_ value: Substring) -> ClosedRange<TLSPolicy.ProtocolVersion>? {
            let isMinimum = value.hasPrefix(">=")
            let name = asciiLowercased(isMinimum ? value.dropFirst(2) : value)
            guard
                let version = TLSPolicy.ProtocolVersion.allCases.first(where: { asciiLowercased($0.rawValue) == name })
            else { return nil }
            return version...(isMinimum ? .tls1_3 : version)
        }

        /// Options that say the opposite of the level, or nothing.
        private mutating func check(_ policy: TLSPolicy, hasOptions: Bool, _ key: String, _ number: Int) {
            switch policy.level {
            case .none:
                if hasOptions { fail(number, key, "level none takes no options") }
            case .may:
                if policy.isWrapped {
                    fail(number, key, "wrapper leaves no choice; valid with it are encrypt, verify, fingerprint")
                }
            case .encrypt, .verify: break
            case .fingerprint:
                if policy.fingerprints.isEmpty {
                    fail(number, key, "level fingerprint needs fingerprint=\(TLSPolicy.Fingerprint.form)")
                }
                if policy.hasOwnNames || policy.authorityFile != nil {
                    fail(number, key, "level fingerprint looks at no name and no authority; remove match= and CAfile=")
                }
            }
            if policy.level != .fingerprint, !policy.fingerprints.isEmpty {
                fail(number, key, "fingerprint= is for level fingerprint")
            }
        }

        // MARK: the whole

        mutating func checkWhole() {
            guard configuration.demandsTLS else { return }
            for destination in configuration.destinations
            where destination.pattern.isForAll && !destination.policy.level.requiresTLS {
                fail(
                    destination.line, "destination *",
                    "level \(destination.policy.level.rawValue) for all contradicts demand-tls-mode of line "
                        + "\(lines[.demand] ?? 0); valid are encrypt, verify, or removing one of them")
            }
        }
    }
}
