import MailModel
import SpoolFormat

/// Makes a control file from a message file's envelope and header (router.md §2, §3).
public struct MessageRouter {
    /// What is known of the message file besides its octets.
    public struct File: Hashable, Sendable {
        public var id: SpoolID
        /// Octets of the whole file.
        public var size: Int
        /// Seconds since 1970; for the Date of submitted mail.
        public var time: Int64

        public init(id: SpoolID, size: Int, time: Int64) {
            self.id = id
            self.size = size
            self.time = time
        }
    }

    public enum Result: Hashable, Sendable {
        case routed(ControlFile)
        /// The octets end within the envelope or the header: come again with more.
        case needsMore
        /// No message file; the reason.
        case invalid(String)
        /// A part of a message that was never acknowledged: the power failed while it was being stored.
        case incomplete
    }

    /// `Received` fields from which on a message is going in circles. Deviates: RFC 5321 §6.3 says normally at least 100;
    /// ZMailer has always counted to 50.
    public static let maximumReceivedCount = 50

    private let tables: any RoutingTables
    private let hostName: String
    private let limits: MessageExpansion.Limits

    public init(tables: any RoutingTables, hostName: String, limits: MessageExpansion.Limits = .init()) {
        self.tables = tables
        self.hostName = hostName
        self.limits = limits
    }

    /// `octets`: the file from its beginning, all of it or a part; `givesUp`: what cannot be routed now is routed to the channel
    /// `error` instead of throwing.
    public func route(
        _ octets: [UInt8], _ file: File, givesUp: Bool = false
    ) throws(RoutingTrouble) -> Result {
        let envelope: MessageEnvelope
        let headerStart: Int
        do throws(MessageFileError) {
            (envelope, headerStart) = try MessageEnvelope.parse(octets)
        } catch {
            return octets.count < file.size ? .needsMore : .invalid(error.description)
        }
        guard envelope.isWhole(headerStart: headerStart, fileSize: file.size) else { return .incomplete }
        guard !envelope.recipients.isEmpty else { return .invalid("envelope has no recipient") }
        let glance = HeaderGlance(octets, from: headerStart)
        guard glance.isComplete || octets.count >= file.size else { return .needsMore }

        var control = ControlFile(
            id: file.id, headerStart: headerStart, bodyOffset: glance.bodyStart, messageSize: file.size,
            logID: glance.messageID, groups: [])
        control.envelopeID = envelope.envelopeID
        control.notaryReturn = envelope.notaryReturn
        control.format = envelope.format
        control.traits = envelope.traits ?? MessageTraits(size: file.size - headerStart)
        control.isInternationalized = envelope.isInternationalized
        control.isErrorMessage = envelope.isErrorMessage
        control.bodyType = envelope.bodyType
        // Whatever an address becomes, what was asked for holds (RFC 6710 §4.4, RFC 8689 §4.1).
        control.release = envelope.release
        control.priority = envelope.priority
        control.requiresTLS = envelope.requiresTLS
        control.submitter = envelope.submitter
        var header: [UInt8]?
        if envelope.submission != nil {
            let completion = HeaderCompletion(
                id: "\(file.id)", hostName: hostName, sender: envelope.sender, time: file.time)
            let (completed, messageID) = completion.complete(HeaderSection(octets, from: headerStart))
            header = completed
            control.logID = messageID ?? control.logID
        }
        let routed = try recipients(envelope, loops: glance.receivedCount >= Self.maximumReceivedCount, givesUp)
        control.groups = groups(routed, envelope, header)
        return .routed(control)
    }

    private func recipients(
        _ envelope: MessageEnvelope, loops: Bool, _ givesUp: Bool
    ) throws(RoutingTrouble) -> [RoutedRecipient] {
        var expansion = MessageExpansion(
            tables: tables, hostName: hostName, limits: limits, isReleased: envelope.via == "suspension")
        for recipient in envelope.recipients {
            if loops {
                expansion.addFailed(recipient, .loopExceeded)
                continue
            }
            guard givesUp else {
                try expansion.add(recipient)
                continue
            }
            let before = expansion
            do throws(RoutingTrouble) {
                try expansion.add(recipient)
            } catch {
                expansion = before
                expansion.addFailed(recipient, .unresolvable)
            }
        }
        return expansion.routed
    }

    /// An address that leads nowhere is told of as what it is, whatever the time.
    private func deliverBy(_ entry: RoutedRecipient, _ envelope: MessageEnvelope) -> DeliverByTime? {
        if entry.recipient.quad.channel == "error" { return nil }
        return entry.listOwner == nil ? envelope.deliverBy : envelope.deliverBy?.forListMembers
    }

    /// Recipients by sender: the envelope's own first, then each list's owner.
    private func groups(
        _ routed: [RoutedRecipient], _ envelope: MessageEnvelope, _ header: [UInt8]?
    ) -> [ControlGroup] {
        var groups: [ControlGroup] = []
        var positions: [String?: Int] = [:]
        for var entry in routed {
            entry.recipient.deliverBy = deliverBy(entry, envelope)
            // A report has no sender, whatever list it is sent to: else reports about it could go in circles.
            let owner = envelope.sender == nil ? nil : entry.listOwner
            if let position = positions[owner] {
                groups[position].recipients.append(entry.recipient)
                continue
            }
            let sender = owner ?? envelope.sender
            let quad = Quad(
                channel: sender == nil ? "error" : "smtp", host: "-", user: sender ?? "<>",
                privilege: MessageExpansion.nobody)
            positions[owner] = groups.count
            groups.append(ControlGroup(sender: quad, errorsTo: sender, recipients: [entry.recipient], header: header))
        }
        return groups
    }
}
