import AgentKit
import MessageConversion
import SMTPProtocol

/// What the agent does about 8-bit content: settings of the command line (`-7`, `-8`, `-H`, `--eight-bit`) and of zmailer.conf.
struct ContentConversion: Hashable, Sendable {
    /// For a server without 8BITMIME.
    enum EightBit: String, Hashable, Sendable, CaseIterable {
        /// Converted (RFC 6152 §3).
        case convert
        /// Returned with 5.6.3.
        case `return`
        /// Sent as it is: breaks the rules, and less often mail.
        case send
    }

    var eightBit = EightBit.convert
    /// `-7`: whatever the server offers.
    var forcesSevenBit = false
    /// `-8`: whatever the server offers, and quoted-printable texts are decoded.
    var isEightBitClean = false
    /// `-H`
    var keepsHeaders = false
    /// `DEFCHARSET`
    var defaultCharset = "ISO-8859-1"

    /// Content as one server gets it.
    enum Prepared {
        case content(PreparedContent)
        /// It cannot be had in a form that the server takes (RFC 3463 §3.7: X.6.3).
        case refused(String)
    }

    /// Looks through the message if the server may not take it as it is.
    func prepare(_ envelope: Envelope, for capabilities: ServerCapabilities) throws(FileError) -> Prepared {
        var prepared = PreparedContent(
            stream: envelope.stream, hasEightBit: envelope.mayHaveEightBit,
            needsSMTPUTF8: envelope.isInternationalized)
        let takesEightBit = isEightBitClean || (capabilities.has8BitMIME && !forcesSevenBit)
        // ASCII addresses and header: the message can go where SMTPUTF8 is unknown, whatever its sender announced.
        let asksForHeader = envelope.isInternationalized && !capabilities.hasSMTPUTF8
        guard envelope.hasEightBitOctets else {
            if asksForHeader { prepared.needsSMTPUTF8 = false }
            guard takesEightBit else {
                prepared.hasEightBit = false
                return .content(prepared)
            }
            return .content(isEightBitClean ? try decoded(prepared) : prepared)
        }
        if takesEightBit, !asksForHeader { return .content(isEightBitClean ? try decoded(prepared) : prepared) }
        let options = ConversionOptions(
            .sevenBit, convertsHeaders: !keepsHeaders && !envelope.isInternationalized,
            defaultCharset: defaultCharset)
        let plan = try survey(envelope.stream, options)
        if asksForHeader { prepared.needsSMTPUTF8 = plan.hasEightBitHeader }
        if takesEightBit { return .content(prepared) }
        // That is told in its own words (5.6.7).
        if prepared.needsSMTPUTF8, asksForHeader { return .content(prepared) }
        switch eightBit {
        case .send: return .content(prepared)
        case .return:
            return .refused("its content is 8-bit, the server does not take that, and it may not be converted")
        case .convert: break
        }
        // An internationalized header goes as it is to who offers SMTPUTF8, and with -H to anybody.
        if let obstacle = plan.obstacle, obstacle != .header {
            return .refused("its content is 8-bit, the server does not take that, and \(obstacle.rawValue)")
        }
        prepared.hasEightBit = plan.obstacle == .header
        if plan.isNeeded { try prepared.stream.convert(plan) }
        return .content(prepared)
    }

    private func decoded(_ content: PreparedContent) throws(FileError) -> PreparedContent {
        var content = content
        let plan = try survey(content.stream, ConversionOptions(.eightBit))
        guard plan.isNeeded else { return content }
        content.hasEightBit = plan.producesEightBit
        try content.stream.convert(plan)
        return content
    }

    private func survey(_ stream: ContentStream, _ options: ConversionOptions) throws(FileError) -> ConversionPlan {
        var survey = MessageSurvey(options)
        try stream.read { survey.push($0) }
        return survey.finish()
    }
}

/// Content, and what MAIL has to say of it.
struct PreparedContent {
    var stream: ContentStream
    var hasEightBit: Bool
    var needsSMTPUTF8: Bool
}
