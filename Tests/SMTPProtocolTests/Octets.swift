@testable import SMTPProtocol

func octets(_ text: String) -> [UInt8] { Array(text.utf8) }
func text(_ octets: some Sequence<UInt8>) -> String { String(decoding: Array(octets), as: UTF8.self) }

/// All ways to cut `count` octets into two, then one octet at a time, then in one piece.
func splits(_ octets: [UInt8]) -> [[[UInt8]]] {
    var all = (0...octets.count).map { [Array(octets[..<$0]), Array(octets[$0...])] }
    all.append(octets.map { [$0] })
    all.append([octets])
    return all
}

/// All ways to cut into three: for inputs of a few dozen octets.
func threeWaySplits(_ octets: [UInt8]) -> [[[UInt8]]] {
    (0...octets.count).flatMap { first in
        (first...octets.count).map { second in
            [Array(octets[..<first]), Array(octets[first..<second]), Array(octets[second...])]
        }
    }
}

/// Calls `body` with ever shorter rests of `octets`; it returns how many it consumed and whether to go on.
func drain(_ octets: [UInt8], _ body: (UnsafeRawBufferPointer) -> (consumed: Int, goesOn: Bool)) -> Int {
    var used = 0
    octets.withUnsafeBytes { all in
        while true {
            let (consumed, goesOn) = body(UnsafeRawBufferPointer(rebasing: all[used...]))
            used += consumed
            if !goesOn { return }
        }
    }
    return used
}

extension CommandDecoder {
    /// What comes out of these pieces, and how many octets it kept at most.
    mutating func decodeAll(
        _ pieces: [[UInt8]], options: CommandParser.Options = CommandParser.Options()
    ) -> [Result<Command, CommandSyntaxError>] {
        var results: [Result<Command, CommandSyntaxError>] = []
        for piece in pieces {
            _ = drain(piece) { rest in
                let (consumed, result) = decode(rest, options: options)
                if let result { results.append(result) }
                return (consumed, result != nil)
            }
        }
        return results
    }
}

/// What a decoder made of a message.
struct Decoded: Hashable {
    var content: [UInt8] = []
    var result: Result<MessageSummary, ContentViolation>?
    /// Octets behind the end of the message.
    var rest: [UInt8] = []
    var reportedViolations: [ContentViolation] = []
}

func decode(_ pieces: [[UInt8]], bareLineEnds: BareLineEnds = .refuse, limit: Int = .max) -> Decoded {
    var decoder = DataDecoder(bareLineEnds: bareLineEnds, limit: limit)
    var decoded = Decoded()
    for piece in pieces {
        if decoded.result != nil {
            decoded.rest += piece
            continue
        }
        var position = 0
        position += drain(piece) { rest in
            let (consumed, event) = decoder.decode(rest)
            switch event {
            case .needInput: return (consumed, false)
            case .content(let range): decoded.content += rest[range]
            case .inserted(let octets): decoded.content += octets
            case .violation(let violation): decoded.reportedViolations.append(violation)
            case .end(let result):
                decoded.result = result
                return (consumed, false)
            }
            return (consumed, true)
        }
        if decoded.result != nil { decoded.rest += piece[position...] }
    }
    return decoded
}
