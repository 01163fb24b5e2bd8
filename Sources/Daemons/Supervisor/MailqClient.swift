import AgentProtocol
import Digests
import Glibc

/// Gives an ETRN to another scheduler by mailq, version 2 (docs/protocols.md §6): blocking, for a person at a terminal.
public struct MailqClient {
    /// Where it listens: a host and a port, or a Unix socket.
    public enum Node: Hashable, Sendable, CustomStringConvertible {
        case tcp(host: String, port: UInt16)
        case unix(String)

        /// `host`, `host/port`, `/path`; without a port ZMailer's 174.
        public init?(_ text: String) {
            if text.hasPrefix("/") {
                self = .unix(text)
                return
            }
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard let host = parts.first, !host.isEmpty, parts.count <= 2,
                host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }), let port = parts.count == 2 ? UInt16(parts[1]) : 174,
                port > 0
            else { return nil }
            self = .tcp(host: String(host), port: port)
        }

        public var description: String {
            switch self {
            case .tcp(let host, let port): "\(host)/\(port)"
            case .unix(let path): path
            }
        }
    }

    /// Seconds for a connection and for each answer.
    private static let patience: Int32 = 30

    private let node: Node

    public init(_ node: Node) { self.node = node }

    public func etrn(
        _ target: ETRNTarget, user: String, password: String
    ) throws(MailqClientSession.Failure) -> MailqClientSession.Answer {
        return try run(
            try open(),
            MailqClientSession(user: user, password: password, target: target, remark: "zmailer", digest: Digest.md5)
        ) { _ in }
    }

    /// A list: `show` are the words behind `SHOW`.
    public func list(
        _ show: String, user: String, password: String, _ each: (String) -> Void
    ) throws(MailqClientSession.Failure) {
        let session = MailqClientSession(user: user, password: password, show: show, digest: Digest.md5)
        _ = try run(try open(), session, each)
    }

    private func open() throws(MailqClientSession.Failure) -> UnixStream {
        do throws(UnixStream.Failure) {
            return switch node {
            case .tcp(let host, let port): try TCPConnection.open(host: host, port: port, seconds: Int(Self.patience))
            case .unix(let path): try UnixStream(connectingTo: path, seconds: Int(Self.patience))
            }
        } catch {
            throw .unreachable(error.description)
        }
    }

    private func run(
        _ stream: UnixStream, _ session: MailqClientSession, _ each: (String) -> Void
    ) throws(MailqClientSession.Failure) -> MailqClientSession.Answer {
        var session = session
        while true {
            var actions: [MailqClientSession.Action] = []
            do throws(UnixStream.Failure) {
                let octets = try stream.receive(seconds: Self.patience)
                actions = octets.isEmpty ? [session.ended()].compactMap { $0 } : session.received(octets)
            } catch {
                actions = [error.code == ETIMEDOUT ? session.gaveUp() : session.ended()].compactMap { $0 }
            }
            for action in actions {
                switch action {
                case .send(let octets):
                    // What cannot be written is found out by the next read.
                    do throws(UnixStream.Failure) { try stream.send(octets) } catch { continue }
                case .line(let text): each(text)
                case .finished(let result): return try result.get()
                }
            }
        }
    }
}
