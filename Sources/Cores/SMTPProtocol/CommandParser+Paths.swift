import MailModel

/// MAIL and RCPT: keyword, path, parameters.
extension CommandParser {
    mutating func mail() throws(CommandSyntaxError) -> MailCommand {
        try keyword("FROM:")
        let options = PathParser.Options(
            allowsUTF8: options.extensions.contains(.smtputf8), isSloppy: options.style.isSloppy)
        let start = index
        let result = try path { octets throws(AddressSyntaxError) in
            try PathParser.reversePath(octets, options: options)
        }
        var command = MailCommand(reversePath: result.path)
        command.sourceRoute = result.sourceRoute
        while let parameter = try nextParameter() { try apply(parameter, to: &command) }
        if !command.isSMTPUTF8, command.reversePath.mailbox?.isInternationalized == true {
            throw error(.address(.internationalizedNotAllowed), at: start)
        }
        return command
    }

    mutating func rcpt() throws(CommandSyntaxError) -> RecipientCommand {
        try keyword("TO:")
        let options = PathParser.Options(allowsUTF8: options.isSMTPUTF8, isSloppy: options.style.isSloppy)
        let result = try path { octets throws(AddressSyntaxError) in
            try PathParser.forwardPath(octets, options: options)
        }
        var command = RecipientCommand(forwardPath: result.path)
        command.sourceRoute = result.sourceRoute
        while let parameter = try nextParameter() { try apply(parameter, to: &command) }
        return command
    }

    private mutating func keyword(_ keyword: StaticString) throws(CommandSyntaxError) {
        try separator()
        let length = keyword.utf8CodeUnitCount
        guard line.count - index >= length else { throw error(.missingKeyword) }
        for position in 0..<length {
            let octet = line[index + position]
            let expected = keyword.utf8Start[position]
            guard octet == expected || ((0x61...0x7a).contains(octet) && octet & 0xdf == expected) else {
                throw error(.missingKeyword)
            }
        }
        index += length
        guard index < line.count, Self.isBlank(line[index]) else { return }
        if options.style.isStrict { throw error(.spacing) }
        skipBlanks()
    }

    /// Reads a path at `index`; an address without a domain gets the default one unless `R` is set.
    private mutating func path<Path>(
        _ parse: (ArraySlice<UInt8>) throws(AddressSyntaxError) -> PathParser.Result<Path>
    ) throws(CommandSyntaxError) -> PathParser.Result<Path> {
        let problem: AddressSyntaxError
        do throws(AddressSyntaxError) {
            let result = try parse(line[index...])
            index = result.end
            if index < line.count, !Self.isBlank(line[index]) {
                throw AddressSyntaxError(.missingClosingBracket, at: 0)
            }
            return result
        } catch {
            problem = error
        }
        if problem.kind == .missingDomain, !options.style.needsDomain, let domain = options.defaultDomain {
            // The place where "@domain" is missing: before the closing bracket, a blank, or the end of the line.
            let place = index + problem.offset
            if place == line.count || line[place] == UInt8(ascii: ">") || Self.isBlank(line[place]) {
                let added = Array("@\(domain)".utf8)
                do throws(AddressSyntaxError) {
                    let result = try parse(line[index..<place] + added + line[place...])
                    index = place + (result.end - index - (place - index) - added.count)
                    return result
                } catch {
                    throw self.error(.address(error.kind), at: place)
                }
            }
        }
        throw error(.address(problem.kind), at: index + problem.offset)
    }

    // MARK: parameters

    /// `esmtp-keyword ["=" esmtp-value]` (RFC 5321 §4.1.2).
    struct Parameter {
        /// In upper case.
        let name: String
        let value: String?
        let offset: Int
        let text: String
    }

    private mutating func nextParameter() throws(CommandSyntaxError) -> Parameter? {
        if isAtEnd { return nil }
        try separator()
        let start = index
        while index < line.count, !Self.isBlank(line[index]) { index += 1 }
        let word = line[start..<index]
        let text = String(decoding: word, as: UTF8.self)
        guard let equals = word.firstIndex(of: UInt8(ascii: "=")) else {
            return Parameter(name: text.uppercased(), value: nil, offset: start, text: text)
        }
        return Parameter(
            name: String(decoding: line[start..<equals], as: UTF8.self).uppercased(),
            value: String(decoding: line[(equals + 1)..<index], as: UTF8.self), offset: start, text: text)
    }

    private func apply(_ parameter: Parameter, to command: inout MailCommand) throws(CommandSyntaxError) {
        func set<Value>(
            _ field: WritableKeyPath<MailCommand, Value?>, _ parse: (String) -> Value?
        ) throws(CommandSyntaxError) {
            guard command[keyPath: field] == nil else {
                throw error(.duplicateParameter(parameter.name), at: parameter.offset)
            }
            guard let text = parameter.value, let value = parse(text) else {
                throw error(.parameterValue(parameter.name), at: parameter.offset)
            }
            command[keyPath: field] = value
        }
        switch parameter.name {
        case "SIZE":
            try set(\.size, Self.size)
        case "BODY":
            try set(\.body) { BodyType(rawValue: $0.uppercased()) }
        case "RET" where options.extensions.contains(.dsn):
            try set(\.ret) { ReturnContent(rawValue: $0.uppercased()) }
        case "ENVID" where options.extensions.contains(.dsn):
            try set(\.envelopeID) { (1...100).contains($0.utf8.count) && XText.decode($0) != nil ? $0 : nil }
        case "AUTH":
            try set(\.auth) { (1...500).contains($0.utf8.count) && ($0 == "<>" || XText.decode($0) != nil) ? $0 : nil }
        case "SMTPUTF8" where options.extensions.contains(.smtputf8):
            guard !command.isSMTPUTF8 else { throw error(.duplicateParameter(parameter.name), at: parameter.offset) }
            guard parameter.value == nil else { throw error(.parameterValue(parameter.name), at: parameter.offset) }
            command.isSMTPUTF8 = true
        case "REQUIRETLS" where options.extensions.contains(.requireTLS):
            guard !command.requiresTLS else { throw error(.duplicateParameter(parameter.name), at: parameter.offset) }
            guard parameter.value == nil else { throw error(.parameterValue(parameter.name), at: parameter.offset) }
            command.requiresTLS = true
        case "BY" where options.extensions.contains(.deliverBy):
            try set(\.deliverBy, Self.deliverBy)
        case "HOLDFOR" where options.extensions.contains(.futureRelease):
            try set(\.hold) { text in
                guard (1...9).contains(text.utf8.count), let seconds = Octets.unsigned(Array(text.utf8)[...]),
                    seconds > 0
                else { return nil }
                return .seconds(Int(seconds))
            }
        case "HOLDUNTIL" where options.extensions.contains(.futureRelease):
            try set(\.hold) { CalendarDate.unixTime(rfc3339: $0).map { .until($0) } }
        case "MT-PRIORITY" where options.extensions.contains(.priority):
            try set(\.priority) { text in
                // RFC 6710 §7: a digit, or a minus and one that is not 0.
                guard let value = Int(text), (-9...9).contains(value), String(value) == text else { return nil }
                return value
            }
        case _:
            throw error(.unknownParameter(parameter.text), at: parameter.offset)
        }
    }

    /// `by-value = by-time ";" by-mode [by-trace]` (RFC 2852 §4): up to nine digits, a mode, `T`.
    private static func deliverBy(_ text: String) -> DeliverBy? {
        let parts = text.split(separator: ";", omittingEmptySubsequences: false)
        guard parts.count == 2, (1...10).contains(parts[0].utf8.count),
            let seconds = Int(parts[0]), abs(seconds) <= 999_999_999
        else { return nil }
        let letters = parts[1].uppercased()
        guard (1...2).contains(letters.count), let mode = DeliverBy.Mode(rawValue: String(letters.prefix(1))),
            letters.count == 1 || letters.last == "T", mode == .notify || seconds > 0
        else { return nil }
        return DeliverBy(seconds: seconds, mode: mode, isTraced: letters.count == 2)
    }

    /// `size-value = 1*20DIGIT` (RFC 1870 §6); what passes 63 bits is as good as the greatest number.
    private static func size(_ text: String) -> Int? {
        guard (1...20).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(text) ?? Int.max
    }

    private func apply(_ parameter: Parameter, to command: inout RecipientCommand) throws(CommandSyntaxError) {
        switch parameter.name {
        case "NOTIFY" where options.extensions.contains(.dsn):
            guard command.notify == nil else {
                throw error(.duplicateParameter(parameter.name), at: parameter.offset)
            }
            guard let value = parameter.value, let notify = Notify(value) else {
                throw error(.parameterValue(parameter.name), at: parameter.offset)
            }
            command.notify = notify
        case "ORCPT" where options.extensions.contains(.dsn):
            guard command.originalRecipient == nil else {
                throw error(.duplicateParameter(parameter.name), at: parameter.offset)
            }
            guard let value = parameter.value, isOriginalRecipient(value) else {
                throw error(.parameterValue(parameter.name), at: parameter.offset)
            }
            command.originalRecipient = value
        case _:
            throw error(.unknownParameter(parameter.text), at: parameter.offset)
        }
    }

    /// `addr-type ";" xtext` (RFC 3461 §4.2), or `utf-8;` and octets beyond ASCII (RFC 6533 §3).
    private func isOriginalRecipient(_ text: String) -> Bool {
        guard text.utf8.count <= 500, let semicolon = text.utf8.firstIndex(of: UInt8(ascii: ";")) else { return false }
        let type = text[..<semicolon]
        let address = text[text.utf8.index(after: semicolon)...]
        guard !type.isEmpty, !address.isEmpty,
            type.utf8.allSatisfy({ (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "=") && $0 != UInt8(ascii: "+") })
        else { return false }
        if asciiLowercased(type) == "utf-8" {
            return address.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f && (options.isSMTPUTF8 || $0 < 0x80) }
        }
        return XText.decode(address) != nil
    }
}
