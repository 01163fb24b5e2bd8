import Configuration
import Glibc
import SpoolFormat

/// Asks the scheduler's queue socket (docs/protocols.md §5) and looks through the folders that the scheduler does not know.
public struct QueueClient {
    public enum Question: String, Sendable {
        case queue
        case threads
        case status
        case flush
        /// One message of ``queue``.
        case message
        case etrn
    }

    public enum Failure: Error, CustomStringConvertible {
        /// The scheduler does not answer.
        case unreachable(String)
        /// It answered something else than the protocol says.
        case malformed(String)
        /// It refused.
        case refused(String)

        public var description: String {
            switch self {
            case .unreachable(let reason): "the scheduler does not answer: \(reason)"
            case .malformed(let reason): "the scheduler's answer cannot be read: \(reason)"
            case .refused(let reason): "the scheduler refused: \(reason)"
            }
        }
    }

    /// Seconds without an octet before the scheduler counts as dead.
    private static let patience: Int32 = 30

    private let environment: ZEnvironment

    public init(_ environment: ZEnvironment) { self.environment = environment }

    /// Calls `each` for every answer as it comes: a queue may be larger than what one wants in memory.
    public func ask(_ question: Question, argument: String = "", _ each: (JSONValue) -> Void) throws(Failure) {
        try ask(line: argument.isEmpty ? question.rawValue : "\(question.rawValue) \(argument)", each)
    }

    /// A question as it goes over the socket, without its LF.
    public func ask(line: String, _ each: (JSONValue) -> Void) throws(Failure) {
        var lines = LineSplitter()
        let stream: UnixStream
        do throws(UnixStream.Failure) {
            stream = try UnixStream(connectingTo: "\(environment.postoffice)/.scheduler.mailq", seconds: 10)
            try stream.send(line + "\n")
        } catch {
            throw .unreachable(error.description)
        }
        while true {
            let octets: [UInt8]
            do throws(UnixStream.Failure) {
                octets = try stream.receive(seconds: Self.patience)
            } catch {
                throw .unreachable(error.description)
            }
            if octets.isEmpty { break }
            for line in lines.feed(octets) { try Self.deliver(line, each) }
        }
        guard lines.isEmpty else { throw .malformed("the last line is not complete") }
    }

    private static func deliver(_ line: [UInt8], _ each: (JSONValue) -> Void) throws(Failure) {
        let value: JSONValue
        do throws(JSONValue.SyntaxError) {
            value = try JSONValue(parsing: line)
        } catch {
            throw .malformed(error.description)
        }
        if let reason = value["error"]?.string { throw .refused(reason) }
        each(value)
    }

    /// Messages that are not with the scheduler: accepted and not yet routed, waiting for another try at it, or frozen.
    public func unrouted() -> [UnroutedMessage] {
        UnroutedMessage.State.allCases.flatMap { state in
            let folder = state.folder
            return ProcFile.names(in: "\(environment.postoffice)/\(folder)").sorted().compactMap {
                name -> UnroutedMessage? in
                // A file whose successor is in `queue` is routed; only its removal is still to come.
                if access("\(environment.postoffice)/queue/\(name)", F_OK) == 0 { return nil }
                var info = stat()
                // Beside messages are notes of the freezer, and what is on its way out of it.
                guard SpoolID(name) != nil, lstat("\(environment.postoffice)/\(folder)/\(name)", &info) == 0
                else {
                    return nil
                }
                return UnroutedMessage(
                    name: name, state: state, size: Int(info.st_size),
                    arrived: Int(info.st_mtim.tv_sec))
            }
        }
    }
}

/// A message file that the router has not yet done, or will not.
public struct UnroutedMessage: Hashable, Sendable {
    public enum State: String, Sendable, CaseIterable {
        case routing
        /// Routing was tried and waits for another time.
        case routingDeferred = "routing-deferred"
        /// Held back; ``FreezerCommand`` says why.
        case frozen

        /// In POSTOFFICE.
        var folder: String {
            switch self {
            case .routing: "router"
            case .routingDeferred: "deferred"
            case .frozen: "freezer"
            }
        }

        /// For people.
        var text: String {
            switch self {
            case .routing: "(to be routed)"
            case .routingDeferred: "(routing is tried again)"
            case .frozen: "(frozen: zmailer freezer list)"
            }
        }
    }
    public let name: String
    public let state: State
    /// Octets of the file.
    public let size: Int
    /// Seconds since 1970.
    public let arrived: Int

    public var json: String {
        "{\"id\":\(JSONValue.string(name).text),\"state\":\"\(state.rawValue)\",\"size\":\(size),\"arrived\":\(arrived)}"
    }
}

/// Lines that end in LF, however the octets arrive.
struct LineSplitter {
    private var rest: [UInt8] = []

    var isEmpty: Bool { rest.isEmpty }

    /// The lines that are complete now, without their LF.
    mutating func feed(_ octets: [UInt8]) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        var start = octets.startIndex
        while let end = octets[start...].firstIndex(of: 0x0a) {
            lines.append(rest + octets[start..<end])
            rest.removeAll(keepingCapacity: true)
            start = end + 1
        }
        rest += octets[start...]
        return lines
    }
}
