import FuzzSupport
import SMTPProtocol

/// Property: the same commands however the octets are split, and no line kept beyond the limit.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzCommandDecoder(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    let styles: [Style] = [.default, [.strict], [.sloppyAddresses], [.requiresDomain]]
    var extensions: Extensions = input.variant & 4 == 0 ? Extensions(rawValue: .max) : []
    if input.variant & 8 != 0 { extensions.formSymmetricDifference(.smtputf8) }
    let options = CommandParser.Options(
        style: styles[Int(input.variant & 3)], extensions: extensions, isSMTPUTF8: input.variant & 16 != 0,
        knowsXCLIENT: input.variant & 32 != 0, defaultDomain: "mx.example")
    let limit = 64
    func decode(_ pieces: [[UInt8]]) -> [Result<Command, CommandSyntaxError>] {
        var decoder = CommandDecoder(maximumLineLength: limit)
        var results: [Result<Command, CommandSyntaxError>] = []
        for piece in pieces {
            drain(piece) { rest in
                let (consumed, result) = decoder.decode(rest, options: options)
                precondition(decoder.line.count <= limit)
                if let result { results.append(result) }
                if case .failure(let error) = result { precondition((0...limit).contains(error.offset)) }
                return (consumed, result != nil)
            }
        }
        return results
    }
    precondition(decode([input.octets]) == decode(input.pieces), "commands depend on how the octets are split")
    return 0
}
