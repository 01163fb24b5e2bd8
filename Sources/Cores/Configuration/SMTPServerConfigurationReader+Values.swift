import MailModel

/// The values of PARAM lines.
extension SMTPServerConfigurationReader {
    mutating func set(
        _ parameter: SMTPServerConfiguration.Parameter, _ key: String, _ arguments: [String], _ number: Int
    ) {
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
        case .listener(let service, let hasPort):
            setListener(service, hasPort, key, arguments, number)
        case .path(let keyPath):
            if let path = path(arguments, key, number) { configuration[keyPath: keyPath] = path }
        case .switchNumber(let keyPath):
            guard arguments.count == 1, arguments[0] == "0" || arguments[0] == "1" else {
                fail(number, key, "needs 0 or 1")
                return
            }
            configuration[keyPath: keyPath] = arguments[0] == "1"
        case .traceElement(let element, let isShown):
            guard arguments.isEmpty else {
                fail(number, key, "takes no value; remove '\(arguments[0])'")
                return
            }
            if isShown {
                configuration.shownInTrace.insert(element)
            } else {
                configuration.shownInTrace.remove(element)
            }
        case .networks(let keyPath):
            if let networks = networks(arguments, key, number) { configuration[keyPath: keyPath] += networks }
        case .mechanisms:
            setMechanisms(key, arguments, number)
        case .namedCertificate:
            guard (1...2).contains(arguments.count) else {
                fail(number, key, "needs the path of a certificate, and that of its key if it is in another file")
                return
            }
            guard let certificate = path([arguments[0]], key, number),
                let keyFile = path([arguments[arguments.count - 1]], key, number)
            else { return }
            configuration.tls.namedCertificates.append(
                SMTPServerConfiguration.TLS.CertificateFiles(certificate: certificate, key: keyFile))
        case .minimumProtocol:
            if let value: SMTPServerConfiguration.TLSProtocol = choice(arguments, key, number) {
                configuration.tls.minimumProtocol = value
            }
        case .earlyTalker:
            if let value: SMTPServerConfiguration.EarlyTalker = choice(arguments, key, number) {
                configuration.earlyTalker = value
            }
        case .clusterNode:
            setClusterNode(key, arguments, number)
        case .contentFilter:
            setFilter(key, arguments, number)
        case .noContentFilter:
            guard arguments.isEmpty else {
                fail(number, key, "takes no value; remove '\(arguments[0])'")
                return
            }
            configuration.contentFilters = []
            inheritsFilters = false
        case .account(let keyPath):
            guard arguments.count == 1, !arguments[0].isEmpty else {
                fail(number, key, "needs the name of an account")
                return
            }
            configuration[keyPath: keyPath] = arguments[0]
        case .accounts(let keyPath):
            guard !arguments.isEmpty, !arguments.contains("") else {
                fail(number, key, "needs names of accounts")
                return
            }
            configuration[keyPath: keyPath] += arguments
        case .filterFailure:
            if let value: SMTPServerConfiguration.FilterFailure = choice(arguments, key, number) {
                configuration.contentFiltering.failure = value
            }
        case .wrapperTables:
            guard arguments.count == 2, let allow = path([arguments[0]], key, number),
                let deny = path([arguments[1]], key, number)
            else {
                fail(number, key, "needs two absolute paths, of hosts.allow and of hosts.deny")
                return
            }
            configuration.wrapperTables = [allow, deny]
        case .deliverBy:
            guard arguments.count <= 1, let seconds = Int(arguments.first ?? "0"), (0...999_999_999).contains(seconds)
            else {
                fail(number, key, "takes the least number of seconds, 0 to 999999999 (RFC 2852)")
                return
            }
            configuration.minimumDeliverBy = seconds
        case .tarpit:
            setTarpit(key, arguments, number)
        case .group:
            guard arguments.isEmpty else {
                fail(number, key, "takes no value; remove '\(arguments[0])'")
                return
            }
        case .policyDatabase:
            setPolicyDatabase(key, arguments, number)
        case .spfThreshold:
            if let value: SMTPServerConfiguration.SPFThreshold = choice(arguments, key, number) {
                configuration.spfThreshold = value
            }
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

    private mutating func setListener(
        _ service: Listener.Service, _ hasPort: Bool, _ key: String, _ arguments: [String], _ number: Int
    ) {
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
        var port: Int? = hasPort ? service.defaultPort : nil
        if arguments.count == 2 {
            guard let value = Int(arguments[1]), (1...65535).contains(value) else {
                fail(number, key, "'\(arguments[1])' is no port; valid is a number from 1 to 65535")
                return
            }
            port = value
        }
        configuration.listeners.append(
            Listener(place, service: service, port: port, origin: "\(file):\(number)"))
    }

    /// A raw value, in either case.
    private mutating func choice<Choice>(_ arguments: [String], _ key: String, _ number: Int) -> Choice?
    where Choice: RawRepresentable<String> & CaseIterable {
        let values = Choice.allCases
        if arguments.count == 1,
            let value = values.first(where: { asciiLowercased($0.rawValue) == asciiLowercased(arguments[0]) })
        {
            return value
        }
        fail(number, key, "needs one of \(values.map(\.rawValue).joined(separator: ", "))")
        return nil
    }

    private mutating func path(_ arguments: [String], _ key: String, _ number: Int) -> String? {
        guard arguments.count == 1 else {
            fail(number, key, "needs an absolute path")
            return nil
        }
        guard arguments[0].hasPrefix("/") else {
            let hint = arguments[0].hasPrefix("$") ? "; \(arguments[0]) is not set in zmailer.conf" : ""
            fail(number, key, "'\(arguments[0])' is no absolute path\(hint)")
            return nil
        }
        return arguments[0]
    }

    private mutating func networks(_ arguments: [String], _ key: String, _ number: Int) -> [IPNetwork]? {
        var networks: [IPNetwork] = []
        for argument in arguments {
            let address = AddressLiteral.address(in: argument) ?? IPAddress(argument)
            guard
                let network = address.flatMap({ IPNetwork($0, prefixLength: $0.octets.count * 8) })
                    ?? IPNetwork(parsing: argument)
            else {
                fail(number, key, "'\(argument)' is no address; valid are [192.0.2.1], 192.0.2.0/24, 2001:db8::/32")
                return nil
            }
            networks.append(network)
        }
        if networks.isEmpty { fail(number, key, "needs the addresses or networks of those clients") }
        return networks
    }

    private mutating func setMechanisms(_ key: String, _ arguments: [String], _ number: Int) {
        let known = SMTPServerConfiguration.Authentication.knownMechanisms
        let words = arguments.flatMap { $0.split(separator: " ").map { $0.uppercased() } }
        if words.isEmpty { fail(number, key, "needs mechanisms; valid are \(known.joined(separator: " "))") }
        for word in words where !known.contains(word) {
            fail(number, key, "'\(word)' is not there; valid are \(known.joined(separator: " "))")
            return
        }
        configuration.authentication.mechanisms = words
    }

    private mutating func setClusterNode(_ key: String, _ arguments: [String], _ number: Int) {
        guard arguments.count == 3 else {
            fail(number, key, "needs a node (name, address, or either with /port), a user and a password")
            return
        }
        guard configuration.cluster.count < SMTPServerConfiguration.maximumClusterNodes else {
            fail(number, key, "at most \(SMTPServerConfiguration.maximumClusterNodes) such lines are possible")
            return
        }
        let parts = arguments[0].split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        // The service mailq of services(5).
        let port = parts.count == 2 ? Int(parts[1]) ?? 0 : 174
        let host = parts[0].hasPrefix("[") ? String(parts[0].dropFirst().dropLast()) : String(parts[0])
        guard (1...65535).contains(port), IPAddress(host) != nil || DomainName(host) != nil else {
            fail(number, key, "'\(arguments[0])' is no node; valid are a name, an address, or either with /port")
            return
        }
        configuration.cluster.append(
            SMTPServerConfiguration.ClusterNode(host: host, port: port, user: arguments[1], password: arguments[2]))
    }

    private mutating func setTarpit(_ key: String, _ arguments: [String], _ number: Int) {
        let values = arguments.compactMap { Double($0) }
        guard arguments.count == 3, values.count == 3, values.allSatisfy({ (0...86_400).contains($0) }) else {
            fail(number, key, "needs three numbers: initial delay, exponent, limit")
            return
        }
        configuration.tarpit = SMTPServerConfiguration.Tarpit(initial: values[0], exponent: values[1], limit: values[2])
    }
}
