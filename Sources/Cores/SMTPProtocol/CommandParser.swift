import MailModel

/// Parses one command line (RFC 5321 §4.1.2), verb in any case.
public struct CommandParser: Sendable {
    /// What the session allows at this moment.
    public struct Options: Sendable {
        public var style: Style
        /// What is offered: parameters of other extensions are unknown. With SMTPUTF8 octets beyond ASCII may stand in
        /// paths (RFC 6531 §3.1).
        public var extensions: Extensions
        /// The transaction has SMTPUTF8: a recipient may be internationalized.
        public var isSMTPUTF8: Bool
        /// Z-DEBUG is a verb.
        public var knowsDebug: Bool
        /// XCLIENT is a verb.
        public var knowsXCLIENT: Bool
        /// Added to an address without a domain where style letter `R` does not refuse it.
        public var defaultDomain: String?

        public init(
            style: Style = .default, extensions: Extensions = .all, isSMTPUTF8: Bool = false, knowsDebug: Bool = false,
            knowsXCLIENT: Bool = false, defaultDomain: String? = nil
        ) {
            self.style = style
            self.extensions = extensions
            self.isSMTPUTF8 = isSMTPUTF8
            self.knowsDebug = knowsDebug
            self.knowsXCLIENT = knowsXCLIENT
            self.defaultDomain = defaultDomain
        }
    }

    let line: [UInt8]
    let options: Options
    var verb: Verb?
    var index = 0

    /// - Parameter line: without its line end.
    public static func parse(_ line: [UInt8], options: Options = Options()) throws(CommandSyntaxError) -> Command {
        var parser = CommandParser(line: line, options: options)
        return try parser.command()
    }

    init(line: [UInt8], options: Options) {
        self.line = line
        self.options = options
    }

    func error(_ kind: CommandSyntaxError.Kind, at offset: Int? = nil) -> CommandSyntaxError {
        CommandSyntaxError(kind, verb: verb, at: offset ?? index)
    }

    private mutating func command() throws(CommandSyntaxError) -> Command {
        if !options.style.isStrict { skipBlanks() }
        let start = index
        while index < line.count, !Self.isBlank(line[index]) { index += 1 }
        verb = Verb(line[start..<index]).flatMap { isKnown($0) ? $0 : nil }
        try checkOctets()
        guard let verb else { throw error(.unknownVerb, at: start) }
        switch verb {
        case .ehlo: return .ehlo(argument())
        case .helo: return .helo(argument())
        case .lhlo: return .lhlo(argument())
        case .mail: return .mail(try mail())
        case .rcpt: return .rcpt(try rcpt())
        case .bdat: return try bdat()
        case .data: return try bare(.data, isChecked: options.style.isStrict)
        case .rset: return options.style.isStrict && !isAtEnd ? .rsetWithJunk : .rset
        case .quit: return try bare(.quit, isChecked: options.style.needsDomain)
        case .turn: return try bare(.turn, isChecked: options.style.needsDomain)
        case .starttls: return try bare(.starttls, isChecked: true)
        case .noop: return .noop
        case .onex: return .onex
        case .verb: return .verb
        case .help: return .help(argument())
        case .vrfy: return .vrfy(try requiredArgument())
        case .expn: return .expn(try requiredArgument())
        case .auth: return .auth(argument())
        case .etrn, .turnme: return .etrn(argument())
        case .tick: return .tick(argument())
        case .send, .soml, .saml: return .send
        case .xclient: return .xclient(try requiredArgument())
        case .debug: return .debug
        case .crash: return .crash
        }
    }

    private func isKnown(_ verb: Verb) -> Bool {
        switch verb {
        case .xclient: return options.knowsXCLIENT
        case .debug: return options.knowsDebug
        case .crash:
            #if DEBUG
                return options.knowsDebug
            #else
                return false
            #endif
        case .ehlo, .helo, .lhlo, .mail, .rcpt, .data, .bdat, .rset, .noop, .help, .vrfy, .expn, .quit, .starttls,
            .auth, .etrn, .turn, .turnme, .verb, .onex, .tick, .send, .soml, .saml:
            return true
        }
    }

    /// smtpserver.md §7.2: no NUL, no control character but TAB, 8-bit only where an internationalized address may stand.
    private func checkOctets() throws(CommandSyntaxError) {
        let isHello = verb == .helo || verb == .ehlo || verb == .lhlo
        if isHello, !options.style.isStrict { return }
        let mayBeInternationalized = verb == .mail || verb == .rcpt || verb == .vrfy || verb == .expn
        for (offset, octet) in line.enumerated() where octet < 0x20 || octet >= 0x7f {
            switch octet {
            case 0: throw error(.nulCharacter, at: offset)
            case .tab: continue
            case 0x80...:
                if mayBeInternationalized, options.extensions.contains(.smtputf8) { continue }
                throw error(.eightBitCharacter, at: offset)
            case _: throw error(.controlCharacter, at: offset)
            }
        }
    }

    // MARK: pieces

    static func isBlank(_ octet: UInt8) -> Bool { octet == .space || octet == .tab }

    mutating func skipBlanks() {
        while index < line.count, Self.isBlank(line[index]) { index += 1 }
    }

    /// Whether only blanks are left; strict mode keeps trailing blanks as something.
    var isAtEnd: Bool {
        options.style.isStrict ? index == line.count : line[index...].allSatisfy(Self.isBlank)
    }

    private func bare(_ command: Command, isChecked: Bool) throws(CommandSyntaxError) -> Command {
        if isChecked, !isAtEnd { throw error(.unexpectedArgument) }
        return command
    }

    /// The rest of the line without the blanks around it.
    private func argument() -> String {
        var rest = line[index...]
        while let first = rest.first, Self.isBlank(first) { rest.removeFirst() }
        while let last = rest.last, Self.isBlank(last) { rest.removeLast() }
        return String(decoding: rest, as: UTF8.self)
    }

    private func requiredArgument() throws(CommandSyntaxError) -> String {
        let argument = argument()
        guard !argument.isEmpty else { throw error(.missingArgument) }
        return argument
    }

    /// The blank between a verb and its argument, or between parameters.
    mutating func separator() throws(CommandSyntaxError) {
        if options.style.isStrict {
            guard index < line.count, line[index] == .space else { throw error(.spacing) }
            index += 1
            if index < line.count, Self.isBlank(line[index]) { throw error(.spacing) }
        } else {
            skipBlanks()
        }
    }

    /// `bdat-cmd = "BDAT" SP chunk-size [ SP "LAST" ]` (RFC 3030 §2).
    private mutating func bdat() throws(CommandSyntaxError) -> Command {
        let words = line[index...].split(whereSeparator: Self.isBlank)
        guard let number = words.first else { throw error(.chunkSize(discard: 0)) }
        guard number.allSatisfy({ (0x30...0x39).contains($0) }) else {
            throw error(.chunkSize(discard: nil), at: number.startIndex)
        }
        guard let octets = Int(String(decoding: number, as: UTF8.self)) else {
            throw error(.chunkSize(discard: nil), at: number.startIndex)
        }
        switch words.count {
        case 1: return .bdat(octets: octets, isLast: false)
        case 2 where asciiLowercased(String(decoding: words[1], as: UTF8.self)) == "last":
            return .bdat(octets: octets, isLast: true)
        case _: throw error(.chunkSize(discard: octets), at: words[1].startIndex)
        }
    }
}
