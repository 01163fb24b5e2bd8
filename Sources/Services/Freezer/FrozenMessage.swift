import MailModel
import Postoffice
import SpoolFormat

/// A message in the freezer, as far as a person wants to see it.
public struct FrozenMessage: Sendable {
    public let id: SpoolID
    /// Octets of the message file.
    public let size: Int
    /// Why it is here; `nil`: nobody has noted it, as for what was moved here by hand.
    public let note: FreezeNote?
    /// `nil`: the file has none that can be read, as ``problem`` says.
    public let envelope: MessageEnvelope?
    /// What is wrong with the file.
    public let problem: String?
    /// Octets from the file's beginning to the end of its header, or less if that is very long.
    let head: [UInt8]
    /// Index of the first octet of the header.
    let headerStart: Int

    /// Octets of a file that are read to find the end of its envelope and header.
    static let largestHead = 16 << 20
    private static let firstRead = 16 << 10

    /// Seconds since 1970: when smtpserver took it.
    public var arrived: Int64 { id.unixTime }
    /// Seconds since 1970: when it was frozen.
    public var frozen: Int64 { note?.time ?? id.unixTime }
    /// For people; one line.
    public var reason: String { note?.reason ?? "not noted" }

    /// Whether the file holds all that its `traits` announce. The rest of a part was never acknowledged: nobody is owed anything for it.
    public var isWhole: Bool { envelope?.isWhole(headerStart: headerStart, fileSize: size) ?? false }

    /// The header section with its line ends, without the empty line; at most as much as is read of a file.
    public var header: ArraySlice<UInt8> {
        envelope == nil ? [] : head[headerStart..<HeaderSection(head, from: headerStart).end]
    }

    init(_ id: SpoolID, in postoffice: Postoffice) throws(PostofficeError) {
        self.id = id
        note = try postoffice.freezeNote(id)
        var limit = Self.firstRead
        while true {
            let (octets, size) = try postoffice.readPrefix(.freezer, id, limit: limit)
            let isAll = limit >= min(size, Self.largestHead)
            do throws(MessageFileError) {
                let (envelope, start) = try MessageEnvelope.parse(octets)
                // The section may go on behind what was read.
                if isAll || HeaderSection(octets, from: start).end < octets.count {
                    self.size = size
                    self.envelope = envelope
                    problem =
                        envelope.isWhole(headerStart: start, fileSize: size)
                        ? nil : "a part of a message that was never acknowledged"
                    head = octets
                    headerStart = start
                    return
                }
            } catch {
                if isAll {
                    self.size = size
                    envelope = nil
                    problem = "no message file: \(error)"
                    head = octets
                    headerStart = 0
                    return
                }
            }
            limit = min(limit * 8, Self.largestHead)
        }
    }
}
