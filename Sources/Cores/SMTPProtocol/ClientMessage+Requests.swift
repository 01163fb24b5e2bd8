import MailModel

/// What SMTP extensions ask for on behalf of a message, as a client passes it on: RFC 2852, RFC 6710 and RFC 8689.
extension ClientMessage {
    /// `BY=` (RFC 2852 §4).
    public struct DeliverBy: Hashable, Sendable {
        public enum Mode: String, Hashable, Sendable {
            case `return` = "R"
            case notify = "N"
        }
        /// Seconds that are left; zero or less: the time has passed.
        public var remaining: Int
        public var mode: Mode
        /// `by-trace`.
        public var isTraced: Bool

        /// What lies outside ±999,999,999 becomes the nearest that can be said (RFC 2852 §4).
        public init(remaining: Int, mode: Mode, isTraced: Bool = false) {
            self.remaining = min(max(remaining, -999_999_999), 999_999_999)
            self.mode = mode
            self.isTraced = isTraced
        }
    }

    /// Why the server must not have the message: it comes back in time only from servers that promise that (RFC 2852 §4.1.4.1). LMTP
    /// is no relay: what its server takes is delivered (RFC 2033 §1).
    func deliverByRefusal(_ capabilities: ServerCapabilities, isLMTP: Bool) -> Reply? {
        guard let deliverBy, deliverBy.mode == .return else { return nil }
        guard deliverBy.remaining > 0 else {
            return Reply(
                554, EnhancedStatusCode(5, 4, 7), "The time in which the message was to be delivered has passed")
        }
        if isLMTP { return nil }
        guard capabilities.hasDeliverBy else {
            return Reply(
                554, EnhancedStatusCode(5, 3, 3), "The server does not offer DELIVERBY, which this message needs")
        }
        guard capabilities.minimumDeliverBy <= deliverBy.remaining else {
            return Reply(
                554, EnhancedStatusCode(5, 4, 7),
                "The message must be delivered within \(deliverBy.remaining) s, the server wants at least "
                    + "\(capabilities.minimumDeliverBy) s")
        }
        return nil
    }

    /// Why the server must not have the message: RFC 8689 §4.2.1, steps 4 and 5.
    func requireTLSRefusal(_ capabilities: ServerCapabilities, _ security: ClientSession.Security) -> Reply? {
        guard requiresTLS else { return nil }
        switch security {
        case .clearText:
            return Reply(
                550, EnhancedStatusCode(5, 7, 10), "The message has REQUIRETLS, and there is no TLS to this server")
        case .encrypted:
            return Reply(
                550, EnhancedStatusCode(5, 7, 10),
                "The message has REQUIRETLS, and this server has not proved who it is")
        case .verified:
            guard needsREQUIRETLSOffer, !capabilities.hasRequireTLS else { return nil }
            return Reply(
                550, EnhancedStatusCode(5, 7, 30), "The message has REQUIRETLS, and this server does not offer that")
        }
    }

    /// Reports go back over TLS; that the way asks the same of the next is more than can be had (RFC 8689 §5).
    public var needsREQUIRETLSOffer: Bool { requiresTLS && reversePath != .null }

    /// Parameters of MAIL, each with a blank before it: what the server offers to take.
    func requestParameters(_ capabilities: ServerCapabilities) -> String {
        var text = ""
        if let deliverBy, capabilities.hasDeliverBy {
            text += " BY=\(deliverBy.remaining);\(deliverBy.mode.rawValue)\(deliverBy.isTraced ? "T" : "")"
        }
        // Deviates: RFC 6710 §4.2 wants a 0 too for what nobody has given a priority; without one a server's own policy decides.
        if let priority, capabilities.hasMTPriority { text += " MT-PRIORITY=\(min(max(priority, -9), 9))" }
        if requiresTLS, capabilities.hasRequireTLS { text += " REQUIRETLS" }
        return text
    }

    /// What the sender wants to hear of a recipient. A server that does not know by when it should be delivered is asked to tell of
    /// any delay (RFC 2852 §4.1.4.2).
    func notify(_ recipient: Recipient, _ capabilities: ServerCapabilities) -> Notify? {
        guard let deliverBy, deliverBy.mode == .notify, deliverBy.remaining > 0, !capabilities.hasDeliverBy else {
            return recipient.notify
        }
        guard let notify = recipient.notify, !notify.isEmpty else { return [.failure, .delay] }
        return notify.contains(.never) ? notify : notify.union(.delay)
    }
}

extension ServerCapabilities {
    /// Keywords by which a server takes over what was asked for on behalf of a message.
    mutating func offer(_ keyword: String, _ arguments: ArraySlice<Substring>) {
        switch keyword {
        case "DELIVERBY":
            hasDeliverBy = true
            // A comma separates options that are still to come (RFC 2852 §2).
            let minimum = arguments.first?.split(separator: ",", omittingEmptySubsequences: false).first
            minimumDeliverBy = minimum.flatMap { Self.number($0) } ?? 0
        case "MT-PRIORITY":
            hasMTPriority = true
            priorityPolicy = arguments.first.map(String.init)
        case "FUTURERELEASE":
            // Both arguments are required (RFC 4865 §3).
            guard arguments.count == 2, let interval = arguments.first.flatMap({ Self.number($0) }), interval > 0 else {
                return
            }
            longestHold = interval
        case "REQUIRETLS": hasRequireTLS = true
        case _: break
        }
    }

    /// At most nine digits.
    private static func number(_ text: Substring) -> Int? {
        guard (1...9).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(text)
    }
}
