import Glibc

/// What `ps` and `top` call the process (`-s`): at most 15 octets of it.
enum ProcessName {
    static func set(_ text: String) {
        let descriptor = open("/proc/self/comm", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let octets = Array(text.utf8.prefix(15))
        // Cosmetic: a kernel that does not take it changes nothing about mail.
        _ = write(descriptor, octets, octets.count)
    }
}
