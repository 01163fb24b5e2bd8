import FuzzSupport
import MailModel
import PeerIdentity

/// XCLIENT, ident, whoson. Properties: what was read, written and read again is the same; attributes one by one say what they
/// say together; every text is short and printable; a line does not depend on how it is split.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzPeerTexts(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    switch input.variant % 3 {
    case 0: attributes(String(decoding: input.octets, as: UTF8.self))
    case 1: ident(input.octets)
    default: line(input)
    }
    return 0
}

private func attributes(_ argument: String) {
    do throws(ClientAttributesError) {
        let all = try ClientAttributes(parsing: argument)
        var sum = ClientAttributes()
        for word in argument.utf8.split(whereSeparator: { $0 == 0x20 || $0 == 0x09 }) {
            sum.add(try ClientAttributes(parsing: String(Substring(word))))
        }
        precondition(sum == all, "attributes together are not what they are one by one")
        let again = try ClientAttributes(parsing: written(all))
        precondition(again == all, "written and read again")
        for case .given(let text)? in [all.helo, all.login] { isPrintable(text, utf8: true) }
    } catch {
        isPrintable(error.description, utf8: false)
    }
}

private func written(_ attributes: ClientAttributes) -> String {
    var words: [String] = []
    func add<Content>(_ name: String, _ value: ClientAttributes.Value<Content>?, _ text: (Content) -> String) {
        switch value {
        case .given(let content)?: words.append("\(name)=\(XText.encode(text(content).utf8))")
        case .unavailable?: words.append("\(name)=[UNAVAILABLE]")
        case .temporarilyUnavailable?: words.append("\(name)=[TEMPUNAVAIL]")
        case nil: break
        }
    }
    func text(_ address: IPAddress) -> String { if case .v6 = address { "IPV6:\(address)" } else { "\(address)" } }
    add("NAME", attributes.name) { $0.text }
    add("ADDR", attributes.address, text)
    add("PORT", attributes.port) { "\($0)" }
    if let mailProtocol = attributes.mailProtocol { words.append("PROTO=\(mailProtocol.rawValue)") }
    add("HELO", attributes.helo) { $0 }
    add("LOGIN", attributes.login) { $0 }
    add("DESTADDR", attributes.destinationAddress, text)
    add("DESTPORT", attributes.destinationPort) { "\($0)" }
    return words.joined(separator: " ")
}

private func isPrintable(_ text: String, utf8: Bool) {
    precondition(text.utf8.count <= (utf8 ? 255 : 600))
    precondition(text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f && (utf8 || $0 < 0x7f) })
}

private func ident(_ octets: [UInt8]) {
    let query = IdentQuery(peerPort: 6, ownPort: 25)
    do throws(IdentError) {
        guard case .user(let user) = try query.reply(octets) else { return }
        isPrintable(user.name, utf8: false)
        isPrintable(user.system, utf8: false)
        precondition(!user.name.isEmpty && user.name.utf8.count <= 255)
        let again = try query.reply("6,25:USERID:\(user.system):\(user.name)".utf8)
        precondition(again == .user(user), "written and read again")
    } catch {
        precondition(error == .malformed || error != .otherPorts(6, 25))
    }
}

private func line(_ input: Input) {
    func read(_ pieces: [[UInt8]]) -> PeerLineDecoder.Result {
        var decoder = PeerLineDecoder(limit: 64)
        var result = PeerLineDecoder.Result.needMore
        for piece in pieces where result == .needMore { result = piece.withUnsafeBytes { decoder.decode($0) } }
        return result
    }
    let whole = read([input.octets])
    precondition(whole == read(input.pieces), "the line depends on the split")
    guard case .line(let octets) = whole else { return }
    precondition(octets.count < 64 && !octets.contains(0x0a))
    if case .loggedIn(let text) = WhosonReply(line: octets) { isPrintable(text, utf8: false) }
}
