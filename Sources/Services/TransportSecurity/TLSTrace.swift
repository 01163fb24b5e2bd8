/// Where a connection tells what it does. Off by default.
public struct TLSTrace {
    /// ZMailer's tls-loglevel.
    public enum Level: Int, Comparable, Sendable {
        /// States and alerts of the negotiation.
        case negotiation = 2
        /// Also a dump of the handshake's messages, in the clear.
        case handshakeDump = 3
        /// Also a dump of all octets on the wire, as they are on it: mail and passwords stay encrypted.
        case wireDump = 4

        public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    public let level: Level
    /// Called on the thread that calls the connection, in the midst of that call, with one line each time: it must not call
    /// the connection.
    public let sink: (String) -> Void

    public init(level: Level, sink: @escaping (String) -> Void) {
        self.level = level
        self.sink = sink
    }
}
