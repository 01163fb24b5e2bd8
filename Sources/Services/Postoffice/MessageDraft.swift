import CPosix
import Glibc
import SpoolFormat

/// A message being written: an unnamed file in `router/`, which gets its name by ``commit()`` and leaves nothing behind
/// otherwise. Used by one thread at a time.
///
/// Sound as `@unchecked Sendable`: a draft is handed from one pool job to the next and never shared.
public final class MessageDraft: @unchecked Sendable {
    public let id: SpoolID
    /// Where a message gets its name.
    public enum Place: Sendable {
        /// To be routed.
        case router
        /// Frozen, and why: nothing happens to it by itself.
        case freezer(FreezeNote)
    }
    /// Octets written so far.
    public private(set) var size = 0
    private let path: String
    private let sync: DirectorySync
    /// Where the policy may have it put instead.
    private let frozenPath: String
    private let frozenSync: DirectorySync
    var descriptor: Int32
    /// Its name while a content filter looks at it.
    let publicPath: String
    var isPublic = false

    init(_ id: SpoolID, _ postoffice: Postoffice) throws(PostofficeError) {
        self.id = id
        path = postoffice.path(.router, id)
        sync = postoffice.routerSync
        frozenPath = postoffice.path(.freezer, id)
        frozenSync = postoffice.freezerSync
        publicPath = postoffice.path(.public, id)
        descriptor = try Postoffice.unnamedFile(in: sync.path)
    }

    deinit { discard() }

    public func append(_ octets: UnsafeRawBufferPointer) throws(PostofficeError) {
        var rest = octets[...]
        while !rest.isEmpty {
            let count = pwrite(
                descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count, off_t(size))
            if count < 0 {
                if errno == EINTR { continue }
                throw PostofficeError(path, code: errno)
            }
            // No file system should; if one does, it has no room.
            if count == 0 { throw PostofficeError(path, code: ENOSPC) }
            size += count
            rest = rest.dropFirst(count)
        }
    }

    public func append(_ octets: [UInt8]) throws(PostofficeError) {
        let result = octets.withUnsafeBytes { buffer -> PostofficeError? in
            do throws(PostofficeError) {
                try append(buffer)
                return nil
            } catch {
                return error
            }
        }
        if let result { throw result }
    }

    /// Several pieces in one system call, for small messages.
    public func append(pieces: [[UInt8]]) throws(PostofficeError) {
        var vectors: [iovec] = []
        var total = 0
        for piece in pieces where !piece.isEmpty {
            vectors.append(iovec(iov_base: nil, iov_len: piece.count))
            total += piece.count
        }
        guard vectors.count <= 16, total > 0 else {
            for piece in pieces { try append(piece) }
            return
        }
        let written = Self.withPieces(pieces.filter { !$0.isEmpty }, 0, &vectors) { vectors in
            pwritev(descriptor, vectors, Int32(vectors.count), off_t(size))
        }
        guard written >= 0 || errno == EINTR else { throw PostofficeError(path, code: errno) }
        // A short write is rare: what is missing goes out piece by piece.
        var done = max(0, written)
        size += done
        for piece in pieces {
            if done >= piece.count {
                done -= piece.count
            } else {
                try append(Array(piece[done...]))
                done = 0
            }
        }
    }

    private static func withPieces(
        _ pieces: [[UInt8]], _ index: Int, _ vectors: inout [iovec], _ body: ([iovec]) -> Int
    ) -> Int {
        guard index < pieces.count else { return body(vectors) }
        return pieces[index].withUnsafeBytes { buffer in
            vectors[index].iov_base = UnsafeMutableRawPointer(mutating: buffer.baseAddress)
            return withPieces(pieces, index + 1, &vectors, body)
        }
    }

    /// Replaces octets already written; used for the `traits` line.
    public func overwrite(at offset: Int, _ octets: [UInt8]) throws(PostofficeError) {
        precondition(offset + octets.count <= size, "overwriting beyond what was written")
        try Postoffice.writeAll(descriptor, octets, at: offset, path: path)
    }

    /// Gives the file its name and makes it durable: file and directory entry, and those of the note of a frozen one. On an
    /// error nothing is left behind.
    ///
    /// The content is on its way to the disk when the directory is synced for all that wait, so that one journal commit
    /// serves both, and the file's own sync finds little left to do. A power cut in between leaves a name without all of
    /// the content: `traits` tells (`MessageEnvelope.isWhole`), and no 250 was sent for it.
    public func commit(to place: Place = .router) throws(PostofficeError) {
        switch place {
        case .router: try commit(path, sync)
        case .freezer(let note):
            // First the note, whose message may be missing; not the message without a note. Both names share the directory's sync.
            let notePath = frozenPath + Postoffice.noteSuffix
            try Postoffice.writeNote(note, to: notePath, in: frozenSync.path)
            do throws(PostofficeError) {
                try commit(frozenPath, frozenSync)
            } catch {
                unlink(notePath)
                throw error
            }
        }
    }

    private func commit(_ path: String, _ sync: DirectorySync) throws(PostofficeError) {
        guard name(path) == 0 else { throw PostofficeError(path, code: errno, missing: .missing) }
        do throws(PostofficeError) {
            cposix_start_writing(descriptor)
            try sync.wait()
            guard fsync(descriptor) == 0 else { throw PostofficeError(path, code: errno) }
        } catch {
            // Not durable means not accepted: the sender will come again, so this copy must not be delivered.
            unlink(path)
            throw error
        }
        discard()
    }

    /// One that a filter has looked at has a name already, and gets another in one step.
    private func name(_ path: String) -> Int32 {
        guard isPublic else { return cposix_link_fd(descriptor, path) }
        let result = cposix_rename_new(publicPath, path)
        if result == 0 { isPublic = false }
        return result
    }

    /// Drops the file unless it was committed.
    public func discard() {
        withdraw()
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }
}

extension Postoffice {
    /// Begins a message in `router/`.
    public func draft(_ id: SpoolID) throws(PostofficeError) -> MessageDraft {
        try MessageDraft(id, self)
    }

    /// A whole message at once; durable on return.
    public func submit(
        _ id: SpoolID, _ parts: [[UInt8]], to place: MessageDraft.Place = .router
    ) throws(PostofficeError) {
        let draft = try draft(id)
        try draft.append(pieces: parts)
        try draft.commit(to: place)
    }
}
