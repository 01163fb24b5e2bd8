import Glibc
import SASL

extension Secret {
    /// The octets, `end` and NUL behind them, as C functions want them; overwritten afterwards. The octets hold no NUL.
    func withCString<Result>(
        end: [UInt8] = [], _ body: (_ text: UnsafePointer<CChar>, _ length: Int) throws -> Result
    ) rethrows -> Result {
        let length = count + end.count
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: length + 1, alignment: 1)
        defer { buffer.wipeAndDeallocate() }
        withOctets { buffer.copyMemory(from: $0) }
        UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).copyBytes(from: end + [0])
        return try buffer.withMemoryRebound(to: CChar.self) { text in
            guard let base = text.baseAddress else { preconditionFailure("a text with its NUL is never empty") }
            return try body(base, length)
        }
    }
}

extension UnsafeMutableRawBufferPointer {
    /// For memory that has held a password.
    func wipeAndDeallocate() {
        if let baseAddress { explicit_bzero(baseAddress, count) }
        deallocate()
    }
}
