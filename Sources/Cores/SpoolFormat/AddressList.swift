/// The RFC 822 address lists that ZMailer's own tools may write in `from` and `to` (spool.md §4).
enum AddressList {
    /// The bare addresses of `a@b, Joe <c@d> (work), <@relay:e@f>`: phrases, comments, brackets and routes are left out.
    static func split(_ list: ArraySlice<UInt8>) -> [String] {
        var addresses: [String] = []
        var current: [UInt8] = []
        var bracketed: [UInt8]?
        var comments = 0
        var isQuoted = false
        var isBracketed = false
        var isEscaped = false
        func finish() {
            var address = (bracketed ?? current)[...]
            if address.first == UInt8(ascii: "@"), let colon = address.firstIndex(of: UInt8(ascii: ":")) {
                address = address[(colon + 1)...]
            }
            while address.first == 0x20 || address.first == 0x09 { address.removeFirst() }
            while address.last == 0x20 || address.last == 0x09 { address.removeLast() }
            addresses.append(String(decoding: address, as: UTF8.self))
            current = []
            bracketed = nil
        }
        for byte in list {
            if isEscaped {
                isEscaped = false
                if comments == 0 { current.append(byte) }
                continue
            }
            switch byte {
            case UInt8(ascii: "\\"):
                isEscaped = true
                if comments == 0 { current.append(byte) }
            case UInt8(ascii: "\"") where comments == 0:
                isQuoted.toggle()
                current.append(byte)
            case _ where isQuoted: current.append(byte)
            case UInt8(ascii: "("): comments += 1
            case UInt8(ascii: ")") where comments > 0: comments -= 1
            case _ where comments > 0: continue
            case UInt8(ascii: "<"):
                isBracketed = true
                current = []
            case UInt8(ascii: ">") where isBracketed:
                isBracketed = false
                bracketed = current
            case UInt8(ascii: ",") where !isBracketed: finish()
            default: current.append(byte)
            }
        }
        finish()
        return addresses
    }
}
