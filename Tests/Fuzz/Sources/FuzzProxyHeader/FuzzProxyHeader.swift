import FuzzSupport
import MailModel
import PeerIdentity

/// Properties: the same result, and the same octets taken, however they are split; never more octets than a header may have;
/// what stands behind a header changes nothing; texts are short and printable.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzProxyHeader(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    let limit = 400
    func decode(_ pieces: [[UInt8]]) -> (result: ProxyHeaderDecoder.Result, consumed: Int) {
        var decoder = ProxyHeaderDecoder(maximumBinaryLength: limit)
        var result = ProxyHeaderDecoder.Result.needMore
        var total = 0
        for piece in pieces where result == .needMore {
            let (consumed, next) = piece.withUnsafeBytes { decoder.decode($0) }
            precondition(consumed == piece.count || next != .needMore, "octets are left while more are needed")
            result = next
            total += consumed
        }
        return (result, total)
    }
    // A fuzzer does not guess twelve octets.
    var octets = input.octets
    if input.variant & 1 != 0 { octets = [0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a] + Array("QUIT\n".utf8) + octets }
    var pieces = input.pieces
    if octets.count > input.octets.count { pieces.insert(Array(octets.dropLast(input.octets.count)), at: 0) }
    let whole = decode([octets])
    let split = decode(pieces)
    precondition(whole == split, "the result depends on the split")
    precondition(whole.consumed <= max(limit, ProxyHeaderDecoder.maximumTextLength), "too many octets are held")
    guard whole.result != .needMore else { return 0 }
    precondition(decode([Array(octets.prefix(whole.consumed))]) == whole, "what stands behind the header matters")
    precondition(decode([Array(octets.prefix(whole.consumed - 1))]).result == .needMore, "known before its end")
    if case .header(.proxied(let connection)) = whole.result {
        let texts = [connection.authority, connection.tls?.version, connection.tls?.cipher, connection.tls?.commonName]
        for text in texts.compactMap({ $0 }) {
            precondition(text.utf8.count <= 255 && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f })
        }
    }
    return 0
}
