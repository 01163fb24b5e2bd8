import Glibc
import MailModel
import SpoolFormat

/// A message to judge.
public struct FilterJob: Sendable {
    /// Its file, as smtpserver has named it.
    public let path: String
    public let envelope: MessageEnvelope
    public let content: FilterContent

    /// The last part of the path: the message's id in the logs.
    public var id: String { Self.id(ofPath: path) }

    static func id(ofPath path: String) -> String {
        Octets.text(Octets.split(Array(path.utf8)[...], at: UInt8(ascii: "/")).last ?? [])
    }

    /// The client, from `rcvdfrom`; `nil` if there is none or it cannot be read.
    public var client: ReceivedFrom? { envelope.receivedFrom.flatMap { ReceivedFrom($0) } }

    /// Octets of an envelope: thousands of recipients.
    static let maximumEnvelope = 16 << 20

    /// Reads the envelope of the file.
    public init(path: String) throws(FilterFileError) {
        self.path = path
        let (descriptor, size) = try SpoolFile.open(path)
        do throws(FilterFileError) {
            let (envelope, start) = try Self.envelope(descriptor, path, size)
            self.envelope = envelope
            content = FilterContent(
                descriptor: descriptor, path: path, start: start, count: max(0, size - start), format: envelope.format)
        } catch {
            close(descriptor)
            throw error
        }
    }

    private static func envelope(
        _ descriptor: Int32, _ path: String, _ size: Int
    ) throws(FilterFileError) -> (MessageEnvelope, Int) {
        var room = 16 << 10
        while true {
            let wanted = min(room, size, maximumEnvelope)
            var octets = [UInt8](repeating: 0, count: wanted)
            var failure: FilterFileError?
            let count = octets.withUnsafeMutableBytes { buffer in
                do throws(FilterFileError) {
                    return try SpoolFile.read(descriptor, path, into: buffer, at: 0)
                } catch {
                    failure = error
                    return 0
                }
            }
            if let failure { throw failure }
            octets.removeLast(octets.count - count)
            do throws(MessageFileError) {
                let (envelope, headerStart) = try MessageEnvelope.parse(octets)
                return (envelope, headerStart)
            } catch {
                // The rest of it may lie behind what was read.
                guard count == wanted, wanted == room, wanted < maximumEnvelope else {
                    throw .envelope(path: path, error)
                }
            }
            room *= 8
        }
    }
}
