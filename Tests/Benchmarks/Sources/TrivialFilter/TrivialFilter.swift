import Glibc

/// A content filter that accepts every message and opens none: what is left is the cost of filtering itself. It speaks the `#hungry`
/// interface on standard input and output, and takes one message at a time.
@main
struct TrivialFilter {
    static func main() {
        say("#hungry\n")
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(0, &buffer, buffer.count)
            guard count > 0 else { return }
            // One message is out at most, so a line end is the end of what there is.
            if buffer[count - 1] == 0x0a { say("0\n#hungry\n") }
        }
    }

    private static func say(_ text: StaticString) {
        let octets = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        guard write(1, octets.baseAddress, octets.count) == octets.count else { exit(1) }
    }
}
