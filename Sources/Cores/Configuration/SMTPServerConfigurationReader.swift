import MailModel

extension ZEnvironment {
    /// With the values that programs take for what zmailer.conf leaves out.
    fileprivate var withDefaults: ZEnvironment {
        var filled = self
        let defaults = [
            "POSTOFFICE": postoffice, "MAILBIN": mailbin, "MAILSHARE": mailshare, "MAILVAR": mailvar, "LOGDIR": logdir,
            "DBTYPE": "gdbm", "SUBMISSIONSOCKET": submissionSocket,
        ]
        for (name, value) in defaults where filled[name] == nil { filled[name] = value }
        return filled
    }
}

/// Reads `smtpserver.conf` line by line, and collects what is wrong with it.
struct SMTPServerConfigurationReader {
    typealias Listener = SMTPServerConfiguration.Listener
    private typealias Parameter = SMTPServerConfiguration.Parameter

    let file: String
    let environment: ZEnvironment
    /// What lines set now: the whole server's values, or those of a group.
    var configuration = SMTPServerConfiguration()
    /// The whole server's, once a group has begun.
    private var base: SMTPServerConfiguration?
    private var groups: [SMTPServerConfiguration] = []
    /// The filters are those of the whole server still.
    var inheritsFilters = false
    private var patterns: [HelloPattern] = []
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
        if base != nil, SMTPServerConfiguration.global.contains(asciiLowercased(name)) {
            fail(number, key, "holds for the whole server; write it before the first PARAM newgroup")
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
        case .group:
            beginGroup()
        case .number, .flag, .words, .listener, .path, .switchNumber, .traceElement, .networks, .mechanisms,
            .namedCertificate, .minimumProtocol, .earlyTalker, .clusterNode, .contentFilter, .noContentFilter, .account,
            .accounts,
            .filterFailure, .wrapperTables, .deliverBy, .tarpit,
            .policyDatabase, .spfThreshold, .onlyFalse, .unavailable:
            break
        }
        guard let arguments = words(tail) else {
            fail(number, key, "a quote is not closed")
            return
        }
        lines[asciiLowercased(name)] = number
        set(parameter, key, arguments, number)
    }

    /// Arguments, `"…"` and `'…'` taken as one, variables expanded; a `#` that begins a word ends the line.
    /// `nil` if a quote is not closed.
    func words(_ text: Substring) -> [String]? {
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
            patterns.append(
                HelloPattern(GlobPattern(String(pattern)), maximumLoad: load, effect: .refuse(String(text))))
        } else if let problem = HelloPattern.styleProblem(rest) {
            fail(number, key, problem)
        } else {
            patterns.append(
                HelloPattern(GlobPattern(String(pattern)), maximumLoad: load, effect: .style(String(rest))))
        }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }

    // MARK: groups

    private mutating func beginGroup() {
        if base == nil { base = configuration } else { groups.append(configuration) }
        configuration = base ?? configuration
        configuration.listeners = []
        inheritsFilters = true
    }

    // MARK: the whole

    /// What was read; only of worth when there are no errors.
    mutating func finish() -> SMTPServerConfiguration {
        var whole = configuration
        if let base {
            groups.append(configuration)
            whole = base
        }
        whole.minimumFreeKilobytes = max(1000, whole.minimumFreeKilobytes)
        whole.patterns = patterns
        whole.groups = groups.map { group in
            var group = group
            group.patterns = patterns
            group.credentials = whole.credentials
            group.contentFiltering = whole.contentFiltering
            return group
        }
        check(whole)
        return whole
    }

    private mutating func check(_ whole: SMTPServerConfiguration) {
        if patterns.isEmpty, errors.isEmpty {
            fail(0, "", "no HELO pattern line, so that no client would be served; usual is '* 999 ve'")
        }
        for (index, group) in whole.groups.enumerated() where group.listeners.isEmpty {
            fail(
                lines["newgroup"] ?? 0, "PARAM newgroup",
                "group \(index + 1) listens nowhere; it needs BindAddress, BindSmtp, BindSmtpS or BindSubmit")
        }
        for group in [whole] + whole.groups { check(group: group) }
        let credentials = whole.credentials
        if !credentials.senders.isEmpty, !([whole] + whole.groups).contains(where: { $0.authentication.isOffered }) {
            fail(lines["smtp-auth-senders"] ?? 0, "PARAM smtp-auth-senders", "needs PARAM smtp-auth or smtp-auth-sasl")
        }
    }

    private mutating func check(group: SMTPServerConfiguration) {
        for (name, key, isOn) in [
            ("vrfycmd", "PARAM VRFYcmd", group.enablesVRFY), ("expncmd", "PARAM EXPNcmd", group.enablesEXPN),
        ] where isOn && !group.enablesRouter {
            fail(lines[name] ?? 0, key, "needs PARAM enable-router")
        }
        let ports = group.listeners.map { $0.port ?? group.port } + (group.listeners.isEmpty ? [group.port] : [])
        if group.isLMTP, ports.contains(25) {
            // RFC 2033 §5.
            fail(lines["lmtp-mode"] ?? 0, "PARAM lmtp-mode", "not on port 25, which is SMTP's; set PARAM BindPort")
        }
        checkTLS(group)
        checkAuthentication(group)
    }

    /// TLS that is asked for and cannot be had would be mail in clear text by omission.
    private mutating func checkTLS(_ group: SMTPServerConfiguration) {
        let needed = group.listeners.contains { $0.service == .smtps } || group.listensSMTPS || group.tls.isOn
        if needed, group.tls.certificateFile.isEmpty, group.tls.keyFile.isEmpty {
            let key = group.tls.isOn ? "use-tls" : group.listensSMTPS ? "listen-ssmtp" : "BindSmtpS"
            fail(lines[asciiLowercased(key)] ?? 0, "PARAM \(key)", "needs PARAM tls-cert-file")
        }
        if group.listensSMTPS, !group.listeners.isEmpty, !group.listeners.contains(where: { $0.port == nil }) {
            fail(
                lines["listen-ssmtp"] ?? 0, "PARAM listen-ssmtp",
                "needs PARAM BindAddress, whose addresses it listens on; or write PARAM BindSmtpS")
        }
        for (name, isOn) in [
            ("tls-enforce-tls", group.tls.isEnforced), ("tls-ask-cert", group.tls.asksForCertificate),
            ("tls-require-cert", group.tls.requiresCertificate),
            ("outlook-tls-bug", group.tls.detectsImmediateHandshake),
        ] where isOn && !needed {
            fail(lines[name] ?? 0, "PARAM \(name)", "needs PARAM use-tls")
        }
        if group.tls.requiresCertificate, group.tls.authoritiesFile.isEmpty, group.tls.authoritiesPath.isEmpty {
            fail(
                lines["tls-require-cert"] ?? 0, "PARAM tls-require-cert",
                "needs PARAM tls-CAfile or tls-CApath: who signs the clients' certificates")
        }
    }

    /// Passwords in clear text are taken only where that is asked for (docs/security.md).
    private mutating func checkAuthentication(_ group: SMTPServerConfiguration) {
        let authentication = group.authentication
        let isSubmission = group.listeners.contains { $0.service == .submission }
        guard authentication.isOffered else {
            if authentication.isRequired || isSubmission {
                let key = authentication.isRequired ? "MSA-mode" : "BindSubmit"
                fail(lines[asciiLowercased(key)] ?? 0, "PARAM \(key)", "needs PARAM smtp-auth or smtp-auth-sasl")
            }
            return
        }
        let key = authentication.usesSASL ? "smtp-auth-sasl" : "smtp-auth"
        let offered = authentication.offered(hasTable: !group.credentials.table.isEmpty)
        if offered.isEmpty {
            fail(
                lines["sasl-mechanisms"] ?? lines["smtp-mechanisms"] ?? 0, "PARAM sasl-mechanisms",
                "SCRAM needs the keys of PARAM smtp-auth-table")
        }
        let hasTLS =
            group.tls.isOn || (!group.listeners.isEmpty && group.listeners.allSatisfy { $0.service == .smtps })
        let isClearOnly = offered.allSatisfy { !$0.hasPrefix("SCRAM-") }
        if !hasTLS, isClearOnly, !authentication.allowsClearText {
            fail(
                lines[key] ?? 0, "PARAM \(key)",
                "no client could use it: set PARAM use-tls, or PARAM AUTH-LOGIN-also-without-TLS for passwords in clear "
                    + "text")
        }
    }
}
