/// Cuts content into lines, and long lines into pieces, the same however the octets come. A line ends in CRLF or LF; a CR elsewhere is
/// content.
struct PieceSplitter: Sendable {
    /// Octets of a piece; a delimiter line has fewer.
    static let maximumPiece = 1024

    struct Piece {
        /// Without the line end.
        let octets: ArraySlice<UInt8>
        let startsLine: Bool
        let endsLine: Bool
    }

    private var buffer: [UInt8] = []
    private var isAtLineStart = true

    mutating func push(_ octets: ArraySlice<UInt8>, _ body: (Piece) -> Void) {
        for octet in octets {
            if octet == 0x0a {
                if buffer.last == 0x0d { buffer.removeLast() }
                emit(endsLine: true, body)
            } else {
                // A CR may be half a line end: it waits for what follows.
                if buffer.count >= Self.maximumPiece, buffer.last != 0x0d { emit(endsLine: false, body) }
                buffer.append(octet)
            }
        }
    }

    /// A last line without its end.
    mutating func finish(_ body: (Piece) -> Void) {
        if !buffer.isEmpty { emit(endsLine: false, body) }
    }

    private mutating func emit(endsLine: Bool, _ body: (Piece) -> Void) {
        let piece = Piece(octets: buffer[...], startsLine: isAtLineStart, endsLine: endsLine)
        isAtLineStart = endsLine
        body(piece)
        buffer.removeAll(keepingCapacity: true)
    }
}
