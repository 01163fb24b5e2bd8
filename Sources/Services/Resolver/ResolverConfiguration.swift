import Glibc

/// How names are resolved.
public struct ResolverConfiguration: Hashable, Sendable {
    /// Asks the authoritative servers itself instead of the servers of `resolverFile`.
    public var isRecursive = false
    /// resolv.conf(5): the servers that queries are forwarded to.
    public var resolverFile = "/etc/resolv.conf"
    /// Addresses, `192.0.2.53` or `192.0.2.53@5353`, that are asked instead of those of `resolverFile`.
    public var forwarders: [String] = []
    /// A DS or DNSKEY file in master format; without one nothing counts as secure.
    public var trustAnchorFile: String?
    public var zones = ZoneData()
    /// Of one call, however many questions it asks.
    public var timeout: Duration = .seconds(20)
    /// Questions that may be on their way to servers at once; `nil`: the library's own bound.
    public var parallelQueries: Int?

    public init() {}

    /// Reads the file of local zones named by RESOLVERZONES in zmailer.conf.
    public mutating func readZones(from path: String) throws(ResolverError) {
        guard let text = Self.contents(of: path) else {
            throw ResolverError(["\(path): cannot be read: \(String(cString: strerror(errno)))"])
        }
        zones = try ZoneData(parsing: text, file: path)
    }

    private static func contents(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var octets: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return String(decoding: octets, as: UTF8.self) }
            octets += chunk[..<count]
        }
    }
}
