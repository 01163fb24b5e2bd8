import MessageConversion

/// Converts whole messages for the tests.
enum Conversion {
    /// What became of it; `nil`: it cannot be, or need not be.
    static func convert(
        _ message: [UInt8], _ options: ConversionOptions = ConversionOptions(.sevenBit), piece: Int = Int.max
    ) -> [UInt8]? {
        let plan = plan(message, options, piece: piece)
        guard plan.obstacle == nil, plan.isNeeded else { return nil }
        var converter = MessageConverter(plan)
        var output: [UInt8] = []
        for part in parts(message, piece) { converter.push(part, into: &output) }
        converter.finish(into: &output)
        return output
    }

    static func plan(
        _ message: [UInt8], _ options: ConversionOptions = ConversionOptions(.sevenBit), piece: Int = Int.max
    ) -> ConversionPlan {
        var survey = MessageSurvey(options)
        for part in parts(message, piece) { survey.push(part) }
        return survey.finish()
    }

    private static func parts(_ message: [UInt8], _ piece: Int) -> [ArraySlice<UInt8>] {
        guard message.count > piece else { return [message[...]] }
        return stride(from: 0, to: message.count, by: piece).map { message[$0..<min($0 + piece, message.count)] }
    }

    /// Lines with LF become wire octets.
    static func wire(_ text: String) -> [UInt8] { Array(text.replacing("\n", with: "\r\n").utf8) }

    static func text(_ octets: [UInt8]?) -> String? {
        octets.map { String(decoding: $0, as: UTF8.self).replacing("\r\n", with: "\n") }
    }
}

/// A generator with a seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
