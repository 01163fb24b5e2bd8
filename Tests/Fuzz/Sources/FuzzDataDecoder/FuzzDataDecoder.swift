import FuzzSupport
import SMTPProtocol

private struct Decoded: Equatable {
    var content: [UInt8] = []
    var result: Result<MessageSummary, ContentViolation>?
    var consumed = 0
}

private func decode(_ pieces: [[UInt8]], _ bareLineEnds: BareLineEnds, limit: Int) -> Decoded {
    var decoder = DataDecoder(bareLineEnds: bareLineEnds, limit: limit)
    var decoded = Decoded()
    for piece in pieces where decoded.result == nil {
        decoded.consumed += drain(piece) { rest in
            let (consumed, event) = decoder.decode(rest)
            switch event {
            case .needInput: return (consumed, false)
            case .content(let range): decoded.content += rest[range]
            case .inserted(let octets): decoded.content += octets
            case .violation: break
            case .end(let result):
                decoded.result = result
                return (consumed, false)
            }
            return (consumed, true)
        }
    }
    return decoded
}

/// Where the first CRLF.CRLF ends, the CRLF of the DATA command counted in.
private func naiveEnd(_ octets: [UInt8]) -> Int? {
    let all = [0x0d, 0x0a] + octets
    guard all.count >= 5 else { return nil }
    for index in 0...(all.count - 5) where Array(all[index..<(index + 5)]) == [0x0d, 0x0a, 0x2e, 0x0d, 0x0a] {
        return index + 3
    }
    return nil
}

/// Properties: the same content and end however the octets are split; the end is exactly CRLF.CRLF; accepted content holds
/// neither NUL nor CR or LF alone; stuffed again it decodes to itself.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzDataDecoder(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    let mode: BareLineEnds = input.variant & 1 == 0 ? .refuse : .convert
    let limit = input.variant & 2 == 0 ? Int.max : 40
    let whole = decode([input.octets], mode, limit: limit)
    let split = decode(input.pieces, mode, limit: limit)
    precondition(whole.result == split.result && whole.consumed == split.consumed, "the end depends on the split")
    precondition((whole.result != nil ? whole.consumed : nil) == naiveEnd(input.octets), "ends elsewhere")
    guard case .success(let summary) = whole.result else { return 0 }
    precondition(whole.content == split.content, "the content depends on the split")
    precondition(whole.content.count == summary.octets && summary.octets <= limit)
    var previous: UInt8 = 0x0a
    var dots = 0
    for (index, octet) in whole.content.enumerated() {
        precondition(octet != 0)
        if octet == 0x0a { precondition(index > 0 && previous == 0x0d, "bare LF") }
        if previous == 0x0d { precondition(octet == 0x0a, "bare CR") }
        if octet == 0x2e, previous == 0x0a { dots += 1 }
        previous = octet
    }
    precondition(previous == 0x0a && dots == summary.dotLines)
    precondition(summary.has8Bit == whole.content.contains { $0 >= 0x80 })
    var stuffer = DotStuffer()
    var wire: [UInt8] = []
    whole.content.withUnsafeBytes { stuffer.stuff($0, into: &wire) }
    stuffer.finish(into: &wire)
    precondition(decode([wire], .refuse, limit: .max).content == whole.content, "does not survive stuffing")
    return 0
}
