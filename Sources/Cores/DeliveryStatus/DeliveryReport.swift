import MailModel
import SpoolFormat

/// What a delivery status notification (RFC 3464) tells, as values: the scheduler fills it with results of deliveries,
/// errormail with addresses that could not be routed; ``composed()`` turns it into a message.
public struct DeliveryReport: Hashable, Sendable {
    /// The result of one recipient.
    public struct Recipient: Hashable, Sendable {
        /// `type;xtext` as in the control file (RFC 3461 §4.2); `nil`: unknown, no `Original-Recipient` is written.
        public var originalRecipient: String?
        /// The address that was tried; with `@` it is written as type `rfc822`, else as `x-local`.
        public var finalRecipient: String
        public var action: Notary.Action
        /// RFC 3463; anything that is no status code becomes `x.0.0` of the action's class.
        public var status: String
        /// `type; text` (RFC 3464 §2.3.6); a text without a type gets `x-local`; empty: ``text`` is used.
        public var diagnostic: String
        /// `host (address)` of the server that answered; empty: none did.
        public var remoteMTA: String
        /// For people; a CR in it is a new line (scheduler.md §3); may be empty.
        public var text: String
        /// Seconds since 1970.
        public var lastAttempt: Int64?
        /// Seconds since 1970: until when a delayed message is tried (RFC 3464 §2.3.9).
        public var willRetryUntil: Int64?

        public init(
            originalRecipient: String? = nil, finalRecipient: String, action: Notary.Action, status: String,
            diagnostic: String = "", remoteMTA: String = "", text: String = "", lastAttempt: Int64? = nil,
            willRetryUntil: Int64? = nil
        ) {
            self.originalRecipient = originalRecipient
            self.finalRecipient = finalRecipient
            self.action = action
            self.status = status
            self.diagnostic = diagnostic
            self.remoteMTA = remoteMTA
            self.text = text
            self.lastAttempt = lastAttempt
            self.willRetryUntil = willRetryUntil
        }
    }

    /// The message that the report is about.
    public struct Original: Hashable, Sendable {
        /// The name of its spool file: `Final-Log-ID`.
        public var id: SpoolID
        public var format: MessageEnvelope.LineFormat
        /// The header section without the empty line behind it, line ends as ``format`` says. What exceeds
        /// ``DeliveryReport/maximumHeader`` is not returned.
        public var header: [UInt8]
        /// What follows the empty line; `nil`: only the header is returned. ``DeliveryReport/returnsBody(_:hasFailure:size:)``
        /// says when to give it.
        public var body: [UInt8]?
        /// Seconds since 1970.
        public var arrivalDate: Int64
        /// `ENVID` as given by the client: xtext.
        public var envelopeID: String?
        /// It was accepted with SMTPUTF8: the report is one of RFC 6533.
        public var isInternationalized: Bool
        /// Its deliver-by-time, seconds since 1970: `Deliver-By-Date` (RFC 2852 §5).
        public var deliverBy: Int64?
        /// `Future-Release-Request` (RFC 4865 §5.1.2).
        public var releaseRequest: String?
        /// The report has the same (RFC 6710 §4.6).
        public var priority: MessagePriority?
        /// The report too goes over TLS only, and without the body (RFC 8689 §5).
        public var requiresTLS: Bool
        /// Where the message came from; `nil`: not over the network. `Received-From-MTA` (RFC 3464 §2.2.4).
        public var receivedFrom: ReceivedFrom?

        public init(
            id: SpoolID, format: MessageEnvelope.LineFormat = .crlf, header: [UInt8], body: [UInt8]? = nil,
            arrivalDate: Int64, envelopeID: String? = nil, isInternationalized: Bool = false
        ) {
            self.id = id
            self.format = format
            self.header = header
            self.body = body
            self.arrivalDate = arrivalDate
            self.envelopeID = envelopeID
            self.isInternationalized = isInternationalized
            deliverBy = nil
            releaseRequest = nil
            priority = nil
            requiresTLS = false
            receivedFrom = nil
        }

        /// Where the message came from: `octets` begin with the envelope of its message file.
        public mutating func takeOrigin(from octets: ArraySlice<UInt8>) {
            // It is among the first lines; recipients may be a hundred thousand.
            let head = octets.prefix(Self.originLimit)
            let line = Octets.split(head, at: 0x0a).first { Octets.hasPrefix($0, "rcvdfrom ", anyCase: true) }
            receivedFrom = line.flatMap { ReceivedFrom(Octets.text($0.dropFirst(9))) }
        }
        private static let originLimit = 16384

        /// What SMTP extensions have asked for, from the message's control file.
        public mutating func takeRequests(of file: ControlFile) {
            deliverBy = file.recipients.lazy.compactMap { $0.deliverBy?.time }.min()
            releaseRequest = file.release?.request
            priority = file.priority
            requiresTLS = file.requiresTLS
        }
    }

    /// The spool name of the report itself: seed of its Message-Id and of the boundary between its parts.
    public var id: SpoolID
    /// Our host name: `Reporting-MTA`, and the domain of `MAILER-DAEMON`.
    public var reportingMTA: String
    /// Addresses that the report goes to; the form may add others.
    public var to: [String]
    public var form: ReportForm
    public var recipients: [Recipient]
    public var original: Original
    /// Seconds since 1970: the `Date` of the report.
    public var date: Int64
    /// In front of the subject: `Double-fault: ` for a report that could not be delivered itself.
    public var subjectPrefix = ""

    public init(
        id: SpoolID, reportingMTA: String, to: [String], form: ReportForm, recipients: [Recipient], original: Original,
        date: Int64
    ) {
        self.id = id
        self.reportingMTA = reportingMTA
        self.to = to
        self.form = form
        self.recipients = recipients
        self.original = original
        self.date = date
    }

    /// Recipients that one report tells of: who has more results makes several reports.
    public static let maximumRecipients = 1000
    /// Octets of a returned header; a longer one is cut at the end of a line.
    public static let maximumHeader = 128 << 10
    /// Octets of a body that is returned although the sender asked for nothing.
    public static let maximumUnaskedBody = 65536
    /// Octets of a body that is returned to a sender who asked with `RET=FULL`; of larger messages only the header is returned
    /// (RFC 3461 §4.3 leaves that to the reporting server).
    public static let maximumBody = 8 << 20

    /// Whether the body belongs into a report: only when something failed, not after `RET=HDRS` (RFC 3461 §4.3) or `REQUIRETLS`, which
    /// counts as that whatever was asked for (RFC 8689 §5), and within the bounds above. `size`: octets of the body.
    public static func returnsBody(
        _ wish: NotaryReturn?, hasFailure: Bool, size: Int, requiresTLS: Bool = false
    ) -> Bool {
        guard hasFailure, !requiresTLS else { return false }
        switch wish {
        case .headers?: return false
        case .full?: return size <= maximumBody
        case nil: return size <= maximumUnaskedBody
        }
    }
}

extension DeliveryReport {
    /// One address, or several with commas between them (spool.md §5); a comma within quotes separates nothing.
    public static func addresses(_ list: String) -> [String] {
        if Mailbox(list) != nil { return [list] }
        return list.split(separator: ",").compactMap { part in
            let words = part.split(separator: " ")
            return words.isEmpty ? nil : words.joined(separator: " ")
        }
    }

    /// The header of the original message.
    var headerSection: HeaderSection { HeaderSection(original.header) }
}

extension Notify {
    /// Whether the sender wants to hear of it (RFC 3461 §4.1, §5.2.1...5.2.8).
    public func wants(_ action: Notary.Action) -> Bool {
        switch action {
        case .failed: contains(.failure)
        case .delayed: contains(.delay)
        case .delivered, .relayed, .expanded: contains(.success)
        }
    }
}

/// A report, ready for the spool.
public struct ComposedReport: Hashable, Sendable {
    /// Channel error, `errormsg`, every recipient with `NOTIFY=NEVER`; its traits describe ``content``.
    public let envelope: MessageEnvelope
    /// Header section, empty line and body as wire octets: CRLF, no line of ours over 998 octets.
    public let content: [UInt8]
}
