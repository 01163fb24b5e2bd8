import MailModel

extension StreamConfiguration {
    /// Reads sm.conf: lines `mailer flags program name arguments…`, where `name` is what the program is called (its argument 0).
    /// Lines that begin with a blank or `#` are comments, as in ZMailer; a word with blanks needs `"…"`. `${NAME}` are those of
    /// `environment`. All mistakes are reported together.
    public static func parse(
        _ text: String, file: String, environment: ZEnvironment
    ) throws(ConfigurationErrors) -> StreamConfiguration {
        var mailers: [StreamMailer] = []
        var errors: [ConfigurationError] = []
        // By octets: as Characters, CRLF is one and no newline.
        for (index, octets) in Octets.split(Array(text.utf8)[...], at: 0x0a).enumerated() {
            let line = octets.last == 0x0d ? octets.dropLast() : octets
            guard let first = line.first, ![0x20, 0x09, UInt8(ascii: "#")].contains(first) else { continue }
            do throws(LineProblem) {
                let mailer = try StreamLine(line, environment).mailer(line: index + 1)
                if let other = mailers.first(where: { $0.name == mailer.name }) {
                    throw LineProblem(mailer.name, "is defined in line \(other.line) already")
                }
                mailers.append(mailer)
            } catch {
                errors.append(ConfigurationError(file: file, line: index + 1, key: error.key, reason: error.reason))
            }
        }
        guard errors.isEmpty else { throw ConfigurationErrors(errors) }
        return StreamConfiguration(mailers: mailers)
    }
}

private struct LineProblem: Error {
    let key: String
    let reason: String

    init(_ key: String, _ reason: String) {
        self.key = key
        self.reason = reason
    }
}

/// One line, split into words.
private struct StreamLine {
    let words: [ArraySlice<UInt8>]
    let environment: ZEnvironment

    /// Words of a line: `mailer flags program name` and arguments.
    static let maximumWords = 200

    init(_ line: ArraySlice<UInt8>, _ environment: ZEnvironment) throws(LineProblem) {
        self.environment = environment
        var words: [ArraySlice<UInt8>] = []
        var word: [UInt8]?
        var isQuoted = false
        for octet in line {
            switch octet {
            case UInt8(ascii: "\""):
                isQuoted.toggle()
                word = word ?? []
            case 0x20 where !isQuoted, 0x09 where !isQuoted:
                if let found = word { words.append(found[...]) }
                word = nil
            case 0..<0x20, 0x7f: throw LineProblem("", "holds a control character")
            default: word = (word ?? []) + [octet]
            }
        }
        if isQuoted { throw LineProblem("", "a quote is not closed") }
        if let word { words.append(word[...]) }
        self.words = words
    }

    func mailer(line: Int) throws(LineProblem) -> StreamMailer {
        let name = Octets.text(words[0])
        guard words[0].count <= 32, words[0].allSatisfy(Self.isNameOctet) else {
            throw LineProblem(name, "is no name of a mailer; valid are up to 32 letters, digits, - and _")
        }
        guard words.count >= 3 else {
            throw LineProblem(name, "lacks words; valid is: mailer flags program name arguments...")
        }
        guard words.count <= Self.maximumWords else {
            throw LineProblem(name, "has more than \(Self.maximumWords) words")
        }
        let flags: StreamMailerFlags
        do throws(StreamMailerFlags.Problem) { flags = try StreamMailerFlags(Octets.text(words[1])) } catch {
            throw LineProblem(name, "flags '\(Octets.text(words[1]))': \(error.reason)")
        }
        var program = ""
        for part in try parts(words[2], name) {
            guard case .text(let text) = part else {
                throw LineProblem(name, "the program may not depend on the message; only ${NAME} is valid in it")
            }
            program += text
        }
        guard program.hasPrefix("/") else {
            throw LineProblem(name, "program '\(program)' is not valid; valid is an absolute path")
        }
        var arguments: [StreamArgument] = []
        for word in words.dropFirst(4) { arguments.append(StreamArgument(try parts(word, name))) }
        return StreamMailer(name: name, line: line, flags: flags, program: program, arguments: arguments)
    }

    private static func isNameOctet(_ octet: UInt8) -> Bool {
        (0x30...0x39).contains(octet) || (0x61...0x7a).contains(octet | 0x20) || octet == UInt8(ascii: "-")
            || octet == UInt8(ascii: "_")
    }

    /// A word with what is to be filled in.
    private func parts(_ word: ArraySlice<UInt8>, _ mailer: String) throws(LineProblem) -> [StreamArgument.Part] {
        var parts: [StreamArgument.Part] = []
        var text: [UInt8] = []
        var rest = word
        while let octet = rest.popFirst() {
            guard octet == UInt8(ascii: "$") else {
                text.append(octet)
                continue
            }
            var part: StreamArgument.Part?
            switch rest.first {
            case UInt8(ascii: "g"): part = .sender
            case UInt8(ascii: "h"): part = .host
            case UInt8(ascii: "u"): part = .recipient
            case UInt8(ascii: "U"): part = .lowercasedRecipient
            case UInt8(ascii: "$"): text.append(UInt8(ascii: "$"))
            case UInt8(ascii: "{"): text += try value(&rest, mailer).utf8
            default:
                throw LineProblem(
                    mailer, "'\(Octets.text(word))': '$' is followed by nothing known; valid are $g $h $u $U $$ ${NAME}"
                )
            }
            rest = rest.dropFirst()
            guard let part else { continue }
            if !text.isEmpty { parts.append(.text(Octets.text(text[...]))) }
            text = []
            parts.append(part)
        }
        if !text.isEmpty || parts.isEmpty { parts.append(.text(Octets.text(text[...]))) }
        return parts
    }

    /// `{NAME}` at the beginning of `rest`; leaves the closing brace.
    private func value(_ rest: inout ArraySlice<UInt8>, _ mailer: String) throws(LineProblem) -> String {
        guard let end = Octets.index(of: UInt8(ascii: "}"), in: rest) else {
            throw LineProblem(mailer, "'$\(Octets.text(rest))' is not closed; valid is ${NAME}")
        }
        let name = Octets.text(rest[(rest.startIndex + 1)..<end])
        guard let value = environment[name] else {
            throw LineProblem(mailer, "${\(name)} is not set in zmailer.conf")
        }
        rest = rest[end...]
        return value
    }
}
