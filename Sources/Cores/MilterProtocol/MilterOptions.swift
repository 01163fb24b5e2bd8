/// What a milter may do to a message (`SMFIF_…`, Sendmail's libmilter/mfapi.h).
public struct MilterActions: OptionSet, Hashable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let addHeaders = MilterActions(rawValue: 0x01)
    public static let changeBody = MilterActions(rawValue: 0x02)
    public static let addRecipients = MilterActions(rawValue: 0x04)
    public static let deleteRecipients = MilterActions(rawValue: 0x08)
    public static let changeHeaders = MilterActions(rawValue: 0x10)
    public static let quarantine = MilterActions(rawValue: 0x20)
    public static let changeSender = MilterActions(rawValue: 0x40)
    public static let addRecipientsWithParameters = MilterActions(rawValue: 0x80)
    public static let chooseMacros = MilterActions(rawValue: 0x100)

    /// What a content filter can have done: neither a new body nor another sender.
    public static let offered: MilterActions = [
        .addHeaders, .addRecipients, .deleteRecipients, .changeHeaders, .quarantine, .addRecipientsWithParameters,
    ]
}

/// Steps that a milter does not want, or does not answer (`SMFIP_…`, libmilter/mfdef.h).
public struct MilterSteps: OptionSet, Hashable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let noConnect = MilterSteps(rawValue: 0x01)
    public static let noHello = MilterSteps(rawValue: 0x02)
    public static let noMail = MilterSteps(rawValue: 0x04)
    public static let noRecipients = MilterSteps(rawValue: 0x08)
    public static let noBody = MilterSteps(rawValue: 0x10)
    public static let noHeaders = MilterSteps(rawValue: 0x20)
    public static let noEndOfHeader = MilterSteps(rawValue: 0x40)
    public static let unansweredHeaders = MilterSteps(rawValue: 0x80)
    public static let noUnknown = MilterSteps(rawValue: 0x100)
    public static let noData = MilterSteps(rawValue: 0x200)
    /// The milter may ask for no more of the body.
    public static let skip = MilterSteps(rawValue: 0x400)
    public static let unansweredConnect = MilterSteps(rawValue: 0x1000)
    public static let unansweredHello = MilterSteps(rawValue: 0x2000)
    public static let unansweredMail = MilterSteps(rawValue: 0x4000)
    public static let unansweredRecipients = MilterSteps(rawValue: 0x8000)
    public static let unansweredData = MilterSteps(rawValue: 0x10000)
    public static let unansweredUnknown = MilterSteps(rawValue: 0x20000)
    public static let unansweredEndOfHeader = MilterSteps(rawValue: 0x40000)
    public static let unansweredBody = MilterSteps(rawValue: 0x80000)
    /// Blanks at the beginning of a field's value belong to it, in both directions.
    public static let leadingBlanks = MilterSteps(rawValue: 0x100000)

    /// All of these but recipients that were refused before (`SMFIP_RCPT_REJ`) and packets above 64 KiB (`SMFIP_MDS_…`).
    public static let offered = MilterSteps(rawValue: 0x1ff7ff)
}

/// What both sides have agreed upon (`SMFIC_OPTNEG`).
public struct MilterOptions: Hashable, Sendable {
    /// 2...6.
    public var version: UInt32
    public var actions: MilterActions
    public var steps: MilterSteps

    public init(version: UInt32, actions: MilterActions, steps: MilterSteps) {
        self.version = version
        self.actions = actions
        self.steps = steps
    }

    /// Version 6 with all that we offer.
    public static let offered = MilterOptions(version: 6, actions: .offered, steps: .offered)
    /// A milter's answer must be part of what was offered.
    public func checked() throws(MilterProtocolError) {
        guard (Self.oldestVersion...Self.offered.version).contains(version) else { throw .version(version) }
        let more = (actions: actions.subtracting(.offered), steps: steps.subtracting(.offered))
        guard more.actions.isEmpty, more.steps.isEmpty else {
            throw .notOffered(actions: more.actions, steps: more.steps)
        }
    }

    /// Older milters know no negotiation worth the name.
    static let oldestVersion: UInt32 = 2
    /// The first version with `SMFIC_DATA`.
    static let versionWithData: UInt32 = 4
}
