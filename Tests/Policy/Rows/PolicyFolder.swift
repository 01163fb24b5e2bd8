import Glibc

/// `Tests/Policy`: the sources of the sample database, the DNS data, and the table.
public enum PolicyFolder {
    public static let path: String = {
        // …/Tests/Policy/Rows/PolicyFolder.swift
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        return parts.dropLast(2).joined(separator: "/")
    }()

    /// The files that policy-builder.sh merges, with their names below `$MAILVAR/db`.
    public static let sources = [
        "smtp-policy.src", "localnames", "smtp-policy.relay.manual", "smtp-policy.relay", "smtp-policy.mx.manual",
        "smtp-policy.mx", "smtp-policy.spam", "smtp-policy.spam.manual",
    ]

    /// The whole of a file of the folder.
    public static func read(_ name: String) throws(DecisionTable.Mistake) -> String {
        guard let file = fopen("\(path)/\(name)", "r") else {
            throw DecisionTable.Mistake(description: "\(path)/\(name): \(String(cString: strerror(errno)))")
        }
        defer { fclose(file) }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { break }
            text += chunk[..<count]
        }
        return String(decoding: text, as: UTF8.self)
    }

    public static func table() throws(DecisionTable.Mistake) -> DecisionTable {
        try DecisionTable(text: read("decisions.table"))
    }

    /// Its rows but those for the core alone, those with the same parameters together.
    public static func groups() throws(DecisionTable.Mistake) -> [[DecisionTable.Row]] {
        var groups: [[DecisionTable.Row]] = []
        for row in try table().rows where !row.isForCore {
            if groups.last?.first?.parameters == row.parameters {
                groups[groups.count - 1].append(row)
            } else {
                groups.append([row])
            }
        }
        return groups
    }

    /// The lines of each source, to check that a reason names one that says so.
    public static func sourceLines() throws(DecisionTable.Mistake) -> [String: [Substring]] {
        var lines: [String: [Substring]] = [:]
        for name in sources { lines[name] = try read(name).split(separator: "\n", omittingEmptySubsequences: false) }
        return lines
    }
}
