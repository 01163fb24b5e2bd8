import Glibc
import MailModel
import Resolver

/// The local end of connections (`-L`): `iface:eth0`, `[192.0.2.1]`, or a host name of this machine.
enum LocalIdentity: Hashable, Sendable {
    case interface(String)
    case address(IPAddress)
    /// Its addresses are to be looked up by ``resolved(by:)``.
    case host(String, addresses: [IPAddress])

    /// `nil` if the text is neither an interface, nor an address in brackets, nor a host name.
    init?(_ text: some StringProtocol) {
        if text.utf8.count > 6, asciiLowercased(text.prefix(6)) == "iface:" {
            self = .interface(String(text.dropFirst(6)))
        } else if let address = AddressLiteral.address(in: text) {
            self = .address(address)
        } else if let name = DomainName(text) {
            self = .host(name.text, addresses: [])
        } else {
            return nil
        }
    }

    /// The address to bind for a connection to `remote`; `nil` leaves it to the kernel, as for a remote of the other family.
    func address(for remote: IPAddress) throws(TransportError) -> IPAddress? {
        switch self {
        case .address(let address):
            return address.isSameFamily(as: remote) ? address : nil
        case .host(_, let addresses):
            return addresses.first { $0.isSameFamily(as: remote) }
        case .interface(let name):
            let addresses = NetworkInterfaces.addresses(of: name)
            guard !addresses.isEmpty else { throw .system(call: "interface \(name)", code: ENODEV) }
            return addresses.first { $0.isSameFamily(as: remote) && !$0.isLinkLocal }
        }
    }
}

extension LocalIdentity {
    /// The same with the addresses of a host name. `nil`: it has none.
    func resolved(by names: some NameService) -> LocalIdentity? {
        guard case .host(let name, _) = self else { return self }
        var generator = SystemRandomNumberGenerator()
        switch MailRouting(names, ownIdentity: nil).addresses(ofHost: name, using: &generator) {
        case .hosts(let hosts): return .host(name, addresses: hosts.map(\.address))
        case .temporaryFailure, .permanentFailure: return nil
        }
    }
}

/// The machine's own addresses.
enum NetworkInterfaces {
    /// Of all interfaces, or of one.
    static func addresses(of interface: String? = nil) -> [IPAddress] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var addresses: [IPAddress] = []
        var next = list
        while let entry = next {
            next = entry.pointee.ifa_next
            guard let pointer = entry.pointee.ifa_addr, let address = SocketAddress.address(pointer) else { continue }
            if let interface, String(cString: entry.pointee.ifa_name) != interface { continue }
            addresses.append(address)
        }
        return addresses
    }
}

extension IPAddress {
    func isSameFamily(as other: IPAddress) -> Bool {
        switch (self, other) {
        case (.v4, .v4), (.v6, .v6): true
        case (.v4, .v6), (.v6, .v4): false
        }
    }

    /// fe80::/10 (RFC 4291 §2.5.6).
    var isLinkLocal: Bool {
        switch self {
        case .v4: false
        case .v6(let high, _): high >> 54 == 0x3fa
        }
    }
}
