import FilterKit
import MailModel
import MilterProtocol
import SpoolFormat

/// Asks one milter about messages, by a connection for each.
public struct MilterFilter: Sendable {
    public let settings: MilterSettings
    private let hostName: String

    /// Octets of a header section.
    static let maximumHeader = 1 << 20

    public init(_ settings: MilterSettings, hostName: String) {
        self.settings = settings
        self.hostName = hostName
    }

    /// The milter's answer. Throws ``FilterKit/FilterFileError`` or ``MilterFailure``.
    public func judge(_ job: FilterJob) throws -> FilterAnswer {
        guard let header = try job.content.header(limit: Self.maximumHeader) else {
            return Self.refusal(552, EnhancedStatusCode(5, 3, 4), "header is larger than \(Self.maximumHeader) octets")
        }
        let message = try MilterMessage(job, header: header, settings: settings, hostName: hostName)
        switch message.obstacle {
        case .fieldTooLarge?:
            return Self.refusal(552, EnhancedStatusCode(5, 3, 4), message.obstacle?.description ?? "")
        case .nul?: return Self.refusal(554, EnhancedStatusCode(5, 6, 0), message.obstacle?.description ?? "")
        case nil: break
        }
        var body = WireBody(job.content, from: header.bodyStart)
        do {
            let connection = try MilterConnection(settings)
            var session = MilterSession(message)
            return MilterVerdict.answer(try Self.run(&session, connection) { try body.next(maximum: $0) })
        } catch let failure as MilterFailure {
            throw MilterProblem(socket: settings.socket, failure: failure)
        }
    }

    /// Connects and negotiates: what the milter wants, or why it cannot be had.
    public func probe() throws(MilterFailure) -> MilterOptions {
        let connection = try MilterConnection(settings)
        try connection.send(MilterCommand.negotiate(.offered).packet.encoded, stage: .negotiation)
        let packet = try connection.receive(stage: .negotiation)
        do throws(MilterProtocolError) {
            guard case .negotiate(let options) = try MilterResponse(packet) else {
                throw .unexpected(response: packet.command, stage: .negotiation)
            }
            try options.checked()
            try? connection.send(MilterSession.farewell, stage: .negotiation)
            return options
        } catch {
            throw .broken(error)
        }
    }

    private static func run(
        _ session: inout MilterSession, _ connection: MilterConnection, body: (Int) throws -> [UInt8]
    ) throws -> MilterOutcome {
        while true {
            switch session.next() {
            case .send(let octets): try connection.send(octets, stage: session.currentStage)
            case .receive:
                let packet = try connection.receive(stage: session.currentStage)
                do throws(MilterProtocolError) {
                    try session.received(packet)
                } catch {
                    throw MilterFailure.broken(error)
                }
            case .body(let maximum): session.body(try body(maximum))
            case .finished(let outcome):
                // It has answered: whether it hears the farewell changes nothing.
                try? connection.send(MilterSession.farewell, stage: session.currentStage)
                return outcome
            }
        }
    }

    private static func refusal(_ code: Int, _ status: EnhancedStatusCode, _ text: String) -> FilterAnswer {
        FilterAnswer(.refuse(Reply(code, status, "cannot be filtered: \(text)")))
    }
}

/// What has failed, with which milter.
public struct MilterProblem: Error, Hashable, Sendable, CustomStringConvertible {
    public let socket: MilterSettings.Socket
    public let failure: MilterFailure

    public init(socket: MilterSettings.Socket, failure: MilterFailure) {
        self.socket = socket
        self.failure = failure
    }

    public var description: String { "milter \(socket): \(failure)" }
}

/// A body with CRLF line ends, in parts.
struct WireBody {
    private let content: FilterContent
    private var offset: Int
    /// The last octet was CR.
    private var isBehindCR = false

    init(_ content: FilterContent, from offset: Int) {
        self.content = content
        self.offset = offset
    }

    /// At most `maximum` octets; none at the end.
    mutating func next(maximum: Int) throws(FilterFileError) -> [UInt8] {
        guard content.format == .lf else {
            let octets = try content.octets(from: offset, maximum: maximum)
            offset += octets.count
            return octets
        }
        let octets = try content.octets(from: offset, maximum: maximum / 2)
        offset += octets.count
        var wire: [UInt8] = []
        wire.reserveCapacity(octets.count + octets.count / 32)
        for octet in octets {
            if octet == 0x0a, !isBehindCR { wire.append(0x0d) }
            wire.append(octet)
            isBehindCR = octet == 0x0d
        }
        return wire
    }
}
