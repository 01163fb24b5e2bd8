import Policy

/// Records as lines of policy source.
enum PolicyText {
    /// A line for each place that the record comes from: `key attribute value … #@file:line`. Read again by `makedb -A -p` they make
    /// the same record.
    static func lines(_ key: PolicyKey, _ value: [UInt8]) -> [String] {
        guard let record = PolicyRecord(octets: value) else {
            return ["# \(key): damaged record \(RawText.text(value))"]
        }
        var lines: [(text: String, origin: String)] = []
        for pair in record.pairs {
            let text = " \(pair.attribute?.name ?? "?") \(quoted(pair.value))"
            if let last = lines.last, last.origin == pair.origin {
                lines[lines.count - 1].text += text
            } else {
                lines.append(("\(key) \(text)", pair.origin))
            }
        }
        return lines.map { $0.origin.isEmpty ? $0.text : "\($0.text)  #@\($0.origin)" }
    }

    /// As a value is written in source.
    static func quoted(_ value: String) -> String {
        let isPlain =
            !value.isEmpty
            && value.unicodeScalars.allSatisfy { $0.value > 0x20 && $0 != "\"" && $0 != "#" && $0 != "\\" }
        if isPlain { return value }
        var text = "\""
        for scalar in value.unicodeScalars {
            if scalar == "\"" || scalar == "\\" { text += "\\" }
            text.unicodeScalars.append(scalar)
        }
        return text + "\""
    }

    /// A key as the source language spells it, or why it is none; `nil`: there is no word.
    static func key(_ text: String) -> (key: PolicyKey?, problem: String?)? {
        var reader = PolicySourceReader(file: "key")
        switch reader.read(line: Array("\(text) freeze -".utf8)[...]) {
        case .entry(let key, _): return (key, nil)
        case .error(let error): return (nil, "\(error.key): \(error.reason)")
        case .nothing: return nil
        }
    }
}

/// Octets as text: what is not printable ASCII is `\xNN`, a backslash is `\\`.
enum RawText {
    static func text(_ octets: [UInt8]) -> String {
        var text: [UInt8] = []
        for octet in octets {
            switch octet {
            case UInt8(ascii: "\\"): text += [octet, octet]
            case 0x20...0x7e: text.append(octet)
            default:
                text += "\\x".utf8
                let digits = Array("0123456789abcdef".utf8)
                text += [digits[Int(octet >> 4)], digits[Int(octet & 15)]]
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
