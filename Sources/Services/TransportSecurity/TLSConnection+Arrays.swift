/// The same calls with arrays, for callers whose buffers are such.
extension TLSConnection {
    public func receive(_ ciphertext: [UInt8]) throws(TLSFailure) {
        try ciphertext.withUnsafeBufferPointer { (buffer) throws(TLSFailure) in
            try receive(UnsafeRawBufferPointer(buffer))
        }
    }

    public func write(_ plaintext: [UInt8]) throws(TLSFailure) {
        try plaintext.withUnsafeBufferPointer { (buffer) throws(TLSFailure) in try write(UnsafeRawBufferPointer(buffer))
        }
    }

    /// Decrypted octets, `limit` at most; empty where ``read(into:)`` gives 0.
    public func read(limit: Int = maximumRecordSize) throws(TLSFailure) -> [UInt8] {
        var failure: TLSFailure?
        let octets = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
            do throws(TLSFailure) {
                count = try read(into: UnsafeMutableRawBufferPointer(buffer))
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return octets
    }
}
