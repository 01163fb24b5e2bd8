import MailModel

extension SMTPServerConfiguration {
    static let index: [String: Parameter] = Dictionary(
        uniqueKeysWithValues: parameters.map { (asciiLowercased($0.name), $0.parameter) })

    /// Reads the whole file; every mistake is reported, with its line and what would be valid.
    ///
    /// - Parameters:
    ///   - environment: `$NAME` on PARAM lines stands for its variables.
    ///   - file: for the errors.
    public static func parse(
        _ text: String, file: String, environment: ZEnvironment
    ) throws(ConfigurationErrors) -> SMTPServerConfiguration {
        var reader = SMTPServerConfigurationReader(file: file, environment: environment)
        // By octets: as Characters, CRLF is one and no newline.
        for (index, octets) in Octets.split(Array(text.utf8)[...], at: 0x0a).enumerated() {
            let line = octets.last == 0x0d ? octets.dropLast() : octets
            reader.read(Substring(Octets.text(line)), number: index + 1)
        }
        let configuration = reader.finish()
        guard reader.errors.isEmpty else { throw ConfigurationErrors(reader.errors) }
        return configuration
    }

    /// An address with or without brackets, `any`, `any6`, or an interface; `nil` if it is none of them.
    public static func place(_ text: String) -> Listener.Place? {
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
    static func suggestion(for name: String) -> String {
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
