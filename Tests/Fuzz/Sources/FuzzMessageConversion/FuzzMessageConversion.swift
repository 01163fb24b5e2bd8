import FuzzSupport
import MessageConversion

/// Properties: plan and result do not depend on how the octets are split; what was converted is 7-bit, of legal lines, and needs
/// no conversion any more.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzMessageConversion(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    let options = ConversionOptions(
        input.variant & 1 == 0 ? .sevenBit : .eightBit, convertsHeaders: input.variant & 2 == 0)
    func plan(_ pieces: [[UInt8]]) -> ConversionPlan {
        var survey = MessageSurvey(options)
        for piece in pieces { survey.push(piece[...]) }
        return survey.finish()
    }
    func convert(_ pieces: [[UInt8]], _ plan: ConversionPlan) -> [UInt8] {
        var converter = MessageConverter(plan)
        var output: [UInt8] = []
        for piece in pieces { converter.push(piece[...], into: &output) }
        converter.finish(into: &output)
        return output
    }
    let whole = plan([input.octets])
    precondition(whole == plan(input.pieces), "the plan depends on the split")
    guard whole.obstacle == nil, whole.isNeeded else { return 0 }
    let result = convert([input.octets], whole)
    precondition(result == convert(input.pieces, whole), "the result depends on the split")
    guard options.target == .sevenBit else { return 0 }
    precondition(result.allSatisfy { $0 < 0x80 }, "8-bit octets are left")
    precondition(!plan([result]).hasEightBitOctets)
    return 0
}
