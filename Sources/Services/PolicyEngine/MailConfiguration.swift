import Configuration
import Glibc
import MailModel
import Resolver
import Tables

/// What routing and policy read from zmailer.conf.
public struct MailConfiguration {
    public let postoffice: String
    /// `$MAILVAR/db`.
    public let tables: String
    /// MAILSHARE: `forms/` has texts of reports.
    public let mailshare: String
    /// FORMLANGUAGE: the languages of those texts.
    public let formLanguages: [String]
    /// FREEZERMAXAGE, FREEZERAGED; `nil`: frozen mail stays.
    public let freezerAgeing: FreezerAgeing?
    /// QUEUECHECK, PUBLICMAXAGE, POSTMANMAXAGE.
    public let houseKeeping: HouseKeeping
    /// METRICS.
    public let metricsAddress: MetricsAddress?
    public let accounts: Accounts.Source
    /// MINUID: accounts of the system below it have no mailbox, so mail for them is refused and not returned later.
    public let minimumUID: uid_t
    /// The name by which this host is known: HOSTNAME, else the system's.
    public let hostName: String
    /// Addresses of this host's interfaces and of SELFADDRESSES: their literals are ours.
    public let ownAddresses: Set<IPAddress>
    /// RESOLVER, RESOLVERZONES.
    public let resolver: ResolverConfiguration

    /// `postoffice` instead of the file's.
    public init(_ environment: ZEnvironment, postoffice: String? = nil) throws(ConfigurationErrors) {
        let file = environment["ZCONFIG"] ?? ""
        var errors: [ConfigurationError] = []
        self.postoffice = postoffice ?? environment.postoffice
        tables = "\(environment.mailvar)/db"
        mailshare = environment.mailshare
        formLanguages = environment.formLanguages
        do throws(ConfigurationErrors) {
            freezerAgeing = try FreezerAgeing.read(environment)
        } catch {
            freezerAgeing = nil
            errors += error.errors
        }
        do throws(ConfigurationErrors) {
            houseKeeping = try HouseKeeping.read(environment)
        } catch {
            houseKeeping = HouseKeeping()
            errors += error.errors
        }
        do throws(ConfigurationErrors) {
            metricsAddress = try MetricsAddress.read(environment)
        } catch {
            metricsAddress = nil
            errors += error.errors
        }
        if let source = Accounts.Source(environment["ACCOUNTS"]) {
            accounts = source
        } else {
            accounts = .passwd
            errors.append(
                ConfigurationError(
                    file: file, line: 0, key: "ACCOUNTS",
                    reason: "'\(environment["ACCOUNTS"] ?? "")': \(Accounts.Source.validSettings)"))
        }
        let minimum = environment["MINUID"] ?? ""
        minimumUID = uid_t(minimum) ?? Accounts.standardMinimumUID
        if !minimum.isEmpty, uid_t(minimum) == nil {
            errors.append(
                ConfigurationError(
                    file: file, line: 0, key: "MINUID", reason: "'\(minimum)': valid is a number from 0"))
        }
        var own = Self.interfaceAddresses()
        for word in (environment["SELFADDRESSES"] ?? "").split(whereSeparator: { $0 == "," || $0 == " " }) {
            if let address = AddressLiteral.address(in: word) ?? IPAddress(word) {
                own.insert(address.unmapped)
            } else {
                errors.append(
                    ConfigurationError(
                        file: file, line: 0, key: "SELFADDRESSES",
                        reason: "'\(word)' is no address; valid are [192.0.2.1] and [IPv6:2001:db8::1], with commas"))
            }
        }
        ownAddresses = own
        let name = environment["HOSTNAME"] ?? Self.systemName()
        hostName = name
        if DomainName(name) == nil {
            errors.append(
                ConfigurationError(
                    file: file, line: 0, key: "HOSTNAME", reason: "'\(name)' is no domain; valid is mail.example.org"))
        }
        var resolver = ResolverConfiguration()
        resolver.parallelQueries = Self.parallelQueries
        if let server = environment["RESOLVER"], !server.isEmpty { resolver.forwarders = [server] }
        if let zones = environment["RESOLVERZONES"], !zones.isEmpty {
            do throws(ResolverError) { try resolver.readZones(from: zones) } catch {
                errors += error.messages.map {
                    ConfigurationError(file: file, line: 0, key: "RESOLVERZONES", reason: $0)
                }
            }
        }
        self.resolver = resolver
        guard errors.isEmpty else { throw ConfigurationErrors(errors) }
    }

    /// Questions of the policy to the DNS that are on their way at once.
    static let parallelQueries = 512

    private static func systemName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return buffer.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "localhost" }
    }

    private static func interfaceAddresses() -> Set<IPAddress> {
        var result: Set<IPAddress> = []
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return result }
        defer { freeifaddrs(list) }
        var entry = list
        while let current = entry {
            entry = current.pointee.ifa_next
            guard let address = current.pointee.ifa_addr else { continue }
            let octets: [UInt8]
            switch Int32(address.pointee.sa_family) {
            case AF_INET:
                octets = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
                    withUnsafeBytes(of: pointer.pointee.sin_addr) { Array($0) }
                }
            case AF_INET6:
                octets = address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { pointer in
                    withUnsafeBytes(of: pointer.pointee.sin6_addr) { Array($0) }
                }
            default: continue
            }
            if let parsed = IPAddress(octets: octets) { result.insert(parsed.unmapped) }
        }
        return result
    }
}
