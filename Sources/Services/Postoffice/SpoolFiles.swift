import CPosix
import Glibc

extension Postoffice {
    /// An unnamed file in a spool directory, owned like the directory.
    static func unnamedFile(in directory: String) throws(PostofficeError) -> Int32 {
        let descriptor = cposix_tmpfile(directory, 0o640)
        guard descriptor >= 0 else { throw PostofficeError(directory, code: errno, missing: .missing) }
        do throws(PostofficeError) {
            try giveToOwner(of: directory) { fchown(descriptor, $0, $1) }
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// A program that runs as root (the scheduler may) gives what it makes to the spool's owner: the other programs run
    /// as that user and must read, link and remove it. Does nothing for everyone else.
    static func giveToOwner(of directory: String, _ change: (uid_t, gid_t) -> Int32) throws(PostofficeError) {
        guard geteuid() == 0 else { return }
        var info = stat()
        guard stat(directory, &info) == 0 else { throw PostofficeError(directory, code: errno, missing: .missing) }
        guard info.st_uid != 0 else { return }
        guard change(info.st_uid, info.st_gid) == 0 else { throw PostofficeError(directory, code: errno) }
    }

    /// Writes all octets at `offset`, in as many calls as it takes.
    static func writeAll(
        _ descriptor: Int32, _ octets: [UInt8], at offset: Int, path: String
    ) throws(PostofficeError) {
        var code: Int32 = 0
        octets.withUnsafeBytes { buffer in
            var done = 0
            while done < buffer.count {
                let count = pwrite(
                    descriptor, buffer.baseAddress?.advanced(by: done), buffer.count - done, off_t(offset + done))
                if count > 0 {
                    done += count
                } else if count == 0 || errno != EINTR {
                    code = count == 0 ? ENOSPC : errno
                    return
                }
            }
        }
        if code != 0 { throw PostofficeError(path, code: code) }
    }

    static func syncDirectory(_ path: String) throws(PostofficeError) {
        let descriptor = cposix_open(path, O_RDONLY | O_DIRECTORY, 0)
        guard descriptor >= 0 else { throw PostofficeError(path, code: errno, missing: .missing) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw PostofficeError(path, code: errno) }
    }
}
