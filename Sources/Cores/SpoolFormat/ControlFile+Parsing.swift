import MailModel

extension ControlFile {
    /// Reads a control file: the head with its checksum, then the records. A torn last record is left out.
    public static func parse(_ octets: [UInt8]) throws(ControlFileError) -> ControlFile {
        let headEnd = try verifiedHeadEnd(octets)
        var file = ControlFile(
            id: SpoolID(rawValue: 0), headerStart: 0, bodyOffset: 0, messageSize: 0, logID: "", groups: [])
        var reader = ControlHeadReader(octets: octets, end: headEnd)
        try reader.read(into: &file)
        file.records = ResultRecord.parseAll(octets[headEnd...])
        return file
    }

    /// The end of the `E sum` line, if what stands before it has that checksum once the mutable bytes of `r` lines
    /// (1...11: tag, pid and delay, which change during delivery) are blanked. Header blocks are skipped: their text is a
    /// stranger's, and a line `E sum …` in it is none of ours.
    public static func verifiedHeadEnd(_ octets: [UInt8]) throws(ControlFileError) -> Int {
        var sum = Checksum()
        var covered = 0
        var start = 0
        while let newline = Octets.index(of: 0x0a, in: octets[start...]) {
            switch octets[start] {
            case UInt8(ascii: "E") where Octets.hasPrefix(octets[start..<newline], "E sum "):
                sum.update(octets[covered..<start])
                guard sum.matches(octets[(start + 6)..<newline]) else { throw .torn }
                return newline + 1
            case UInt8(ascii: "r"):
                if newline - start > 12 {
                    sum.update(octets[covered...start])
                    sum.update(Self.blanks[...])
                    covered = start + 12
                }
                start = newline + 1
            case UInt8(ascii: "m") where newline == start + 1:
                start = headerBlockEnd(octets, from: newline + 1)
            default:
                start = newline + 1
            }
        }
        throw .torn
    }

    private static let blanks = [UInt8](repeating: 0x20, count: 11)

    /// Index behind the empty line that ends a header block.
    static func headerBlockEnd(_ octets: [UInt8], from start: Int) -> Int {
        var index = start
        while index < octets.count {
            if octets[index] == 0x0a { return index + 1 }
            guard let newline = Octets.index(of: 0x0a, in: octets[index...]) else { return octets.count }
            index = newline + 1
        }
        return octets.count
    }
}
