import Glibc
import SpoolFormat

/// The content of a message file: header section, empty line and body, without the envelope in front.
public final class MessageContent {
    private let file: ReadFile
    /// Octets in front of the header section.
    public let start: Int
    /// Octets of header section, empty line and body.
    public let count: Int
    /// Octets of the header section and the empty line behind it.
    public let headerCount: Int
    public let format: MessageEnvelope.LineFormat
    /// Of all octets here, not of a replaced header.
    public let traits: MessageTraits

    init(_ file: ReadFile, control: ControlFile) {
        self.file = file
        start = control.headerStart
        count = max(0, control.messageSize - control.headerStart)
        headerCount = min(max(0, control.bodyOffset - control.headerStart), count)
        format = control.format
        traits = control.traits
    }

    /// Fills `buffer` with octets from `offset` (0 is the first header octet); fewer only at the end of the content.
    public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int {
        let room = max(0, min(buffer.count, count - offset))
        return try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<room]), at: start + offset)
    }

    /// The first octets of the envelope, which stands in front of the content.
    public func envelope(limit: Int) throws(FileError) -> [UInt8] {
        var failure: FileError?
        let octets = [UInt8](unsafeUninitializedCapacity: max(0, min(start, limit))) { buffer, count in
            do throws(FileError) {
                count = try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: 0)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return octets
    }

    /// A range of the content; it must lie inside and be small enough to hold in memory.
    public func octets(in range: Range<Int>) throws(FileError) -> [UInt8] {
        var failure: FileError?
        let octets = [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            do throws(FileError) {
                count = try read(into: UnsafeMutableRawBufferPointer(buffer), at: range.lowerBound)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return octets
    }

    /// The envelope in front, as it was accepted; `nil` if it cannot be read as one.
    public func envelope() throws(FileError) -> MessageEnvelope? {
        var failure: FileError?
        let octets = [UInt8](unsafeUninitializedCapacity: start) { buffer, count in
            do throws(FileError) {
                count = try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: 0)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        do throws(MessageFileError) { return try MessageEnvelope.parse(octets).envelope } catch { return nil }
    }
}
