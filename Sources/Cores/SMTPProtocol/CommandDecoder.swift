/// Cuts octets into command lines and parses them; the same commands come out however the octets are split.
///
/// Memory is bounded by the line limit: what passes it is counted and dropped until the line ends.
public struct CommandDecoder: Sendable {
    /// Octets, line end included; RFC 5321 §4.5.3.1.4 asks for at least 512, and more for parameters.
    public static let defaultMaximumLineLength = 8192

    /// Storage kept between lines, octets: what an idle session holds.
    private static let keptCapacity = 256

    /// Octets, line end included.
    public let maximumLineLength: Int
    /// The line decoded last, or the beginning of the one that is arriving; without the line end once it is complete.
    public private(set) var line: [UInt8] = []
    private var isComplete = false
    private var discarded = 0

    /// Whether a line has begun and not ended.
    var isInLine: Bool { !isComplete && (!line.isEmpty || discarded > 0) }

    public init(maximumLineLength: Int = Self.defaultMaximumLineLength) {
        self.maximumLineLength = maximumLineLength
    }

    /// Takes octets up to the end of one line. `result` is `nil` when they do not reach it: all are consumed then.
    public mutating func decode(
        _ octets: UnsafeRawBufferPointer, options: CommandParser.Options = CommandParser.Options()
    ) -> (consumed: Int, result: Result<Command, CommandSyntaxError>?) {
        let (consumed, isWhole) = take(octets, limit: maximumLineLength)
        return (consumed, isWhole ? finish(options) : nil)
    }

    /// The same for a line that is no command: it is in ``line``, unless it is longer than `limit`, its end included.
    mutating func decodeText(
        _ octets: UnsafeRawBufferPointer, limit: Int
    ) -> (consumed: Int, result: Result<Void, CommandSyntaxError>?) {
        let (consumed, isWhole) = take(octets, limit: limit)
        guard isWhole else { return (consumed, nil) }
        guard discarded == 0 else {
            return (consumed, .failure(CommandSyntaxError(.lineTooLong(octets: line.count + discarded), at: limit)))
        }
        line.removeLast()
        if line.last == .carriageReturn { line.removeLast() }
        return (consumed, .success(()))
    }

    /// Overwrites the line, which may hold a password; in its place stands a text that may be shown.
    mutating func wipe(leaving text: StaticString) {
        for index in line.indices { line[index] = 0 }
        line = Array(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private mutating func take(_ octets: UnsafeRawBufferPointer, limit: Int) -> (consumed: Int, isWhole: Bool) {
        if isComplete {
            isComplete = false
            discarded = 0
            if line.capacity > Self.keptCapacity { line = [] } else { line.removeAll(keepingCapacity: true) }
        }
        guard let end = OctetScan.firstLineFeed(octets, from: 0) else {
            append(octets, limit: limit)
            return (octets.count, false)
        }
        append(UnsafeRawBufferPointer(rebasing: octets[...end]), limit: limit)
        isComplete = true
        return (end + 1, true)
    }

    private mutating func append(_ octets: UnsafeRawBufferPointer, limit: Int) {
        let room = limit - line.count
        if octets.count <= room, discarded == 0 {
            line.append(contentsOf: octets)
        } else {
            let kept = discarded == 0 ? room : 0
            line.append(contentsOf: octets.prefix(kept))
            discarded += octets.count - kept
        }
    }

    private mutating func finish(_ options: CommandParser.Options) -> Result<Command, CommandSyntaxError> {
        guard discarded == 0 else {
            let count = line.count + discarded
            return .failure(CommandSyntaxError(.lineTooLong(octets: count), at: maximumLineLength))
        }
        line.removeLast()
        if line.last == .carriageReturn {
            line.removeLast()
        } else if options.style.isStrict {
            return .failure(CommandSyntaxError(.missingCRLF, at: line.count))
        }
        do {
            return .success(try CommandParser.parse(line, options: options))
        } catch {
            return .failure(error)
        }
    }
}
