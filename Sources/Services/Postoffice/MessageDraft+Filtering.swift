import CPosix
import ContentFiltering
import Glibc
import SpoolFormat

/// A message that content filters look at, and may change, before it is accepted (docs/contentfilters.md).
extension MessageDraft {
    /// Octets of envelope and header that can be changed; a message with more is left as it is.
    static let maximumHead = 4 << 20

    /// Gives the file a name in `public/` that a filter can open: nothing is durable by it, and ``discard()`` and ``commit(to:)`` take
    /// it away. - Returns: the path.
    public func publish() throws(PostofficeError) -> String {
        guard !isPublic else { return publicPath }
        guard cposix_link_fd(descriptor, publicPath) == 0 else {
            throw PostofficeError(publicPath, code: errno, missing: .missing)
        }
        isPublic = true
        return publicPath
    }

    func withdraw() {
        if isPublic { unlink(publicPath) }
        isPublic = false
    }

    /// The same message, changed as a filter wants it; this draft stays as it is until it is discarded. A published draft's name is
    /// then the new one's. `nil`: its header is too large, or cannot be told from its content.
    public func revised(
        by edits: MessageEdits, in postoffice: Postoffice
    ) throws(PostofficeError) -> MessageDraft? {
        let head = try read(upTo: Self.maximumHead)
        let isWhole = head.count == size
        let parsed: (envelope: MessageEnvelope, headerStart: Int)
        do throws(MessageFileError) {
            parsed = try MessageEnvelope.parse(head)
        } catch {
            return nil
        }
        let content = head[parsed.headerStart...]
        guard let end = MessageEdits.headerEnd(of: content, isWhole: isWhole) else { return nil }
        var envelope = parsed.envelope
        edits.apply(to: &envelope)
        let header = edits.header(of: content, end: end)
        if var traits = envelope.traits {
            traits.size += header.count - (end - parsed.headerStart)
            traits.hasEightBit = traits.hasEightBit || header.contains { $0 >= 0x80 }
            traits.longestLine = max(traits.longestLine, Self.longestLine(of: header))
            envelope.traits = traits
        }
        let draft = try postoffice.draft(id)
        try draft.append(pieces: [envelope.encoded(), header])
        try draft.append(Array(head[end...]))
        try draft.appendRest(of: self, from: head.count)
        if isPublic { try draft.take(over: self) }
        return draft
    }

    private static func longestLine(of header: [UInt8]) -> Int {
        var longest = 0
        var line = 0
        for octet in header {
            if octet == 0x0a {
                longest = max(longest, line - 1)
                line = 0
            } else {
                line += 1
            }
        }
        return longest
    }

    private func read(upTo limit: Int) throws(PostofficeError) -> [UInt8] {
        let wanted = min(size, limit)
        var code: Int32 = 0
        let octets = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, count in
            while count < wanted {
                let got = pread(descriptor, buffer.baseAddress?.advanced(by: count), wanted - count, off_t(count))
                if got > 0 {
                    count += got
                } else if got == 0 || errno != EINTR {
                    code = got == 0 ? EIO : errno
                    break
                }
            }
        }
        guard code == 0 else { throw PostofficeError(publicPath, code: code) }
        return octets
    }

    private func appendRest(of other: MessageDraft, from start: Int) throws(PostofficeError) {
        var chunk = [UInt8](repeating: 0, count: 256 << 10)
        var offset = start
        while offset < other.size {
            let got = pread(other.descriptor, &chunk, chunk.count, off_t(offset))
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { throw PostofficeError(publicPath, code: got == 0 ? EIO : errno) }
            try append(got == chunk.count ? chunk : Array(chunk[..<got]))
            offset += got
        }
    }

    /// The name in `public/` becomes this one's, at no moment nobody's.
    private func take(over other: MessageDraft) throws(PostofficeError) {
        let passing = "\(publicPath):new"
        guard cposix_link_fd(descriptor, passing) == 0 else { throw PostofficeError(passing, code: errno) }
        guard rename(passing, publicPath) == 0 else {
            let code = errno
            unlink(passing)
            throw PostofficeError(publicPath, code: code)
        }
        isPublic = true
        other.isPublic = false
    }
}

extension Postoffice {
    /// Lets the group of the spool pass through `public/`, so that a filter of another user can open what it is given there, and
    /// keeps it out of the other folders.
    public func admitFilters() throws(PostofficeError) {
        for directory in SpoolDirectory.allCases {
            let path = "\(root)/\(directory.rawValue)"
            guard chmod(path, directory == .public ? 0o710 : 0o700) == 0 else {
                throw PostofficeError(path, code: errno)
            }
        }
    }
}
