import Configuration
import Glibc
import PolicyAsking
import ProgramKit

/// Whose program this is, and how that is written in mail. smtpserver makes sure of the account itself.
public struct UserIdentity: Hashable, Sendable {
    /// The account's name, or `uid-N`.
    public let name: String
    /// Of the account's comment; may be empty.
    public let fullName: String
    public let home: String
    /// The name of this host.
    public let host: String
    /// What stands behind the `@` where an address has none: `MAILDOMAIN` of zmailer.conf, else the name of this host.
    public let domain: String

    public var address: String { "\(name)@\(domain)" }

    /// `name`, or `name@domain` where there is no domain.
    public func qualified(_ address: String) -> String {
        address.utf8.contains(UInt8(ascii: "@")) ? address : "\(address)@\(domain)"
    }

    /// Of the effective uid, which smtpserver is told (SO_PEERCRED).
    public static func own(_ environment: ZEnvironment) -> UserIdentity {
        // A name service in trouble: smtpserver will say that it cannot find out who this is.
        let account = (try? SystemAccount.with(uid: geteuid())) ?? nil
        return UserIdentity(environment, account)
    }

    init(_ environment: ZEnvironment, _ account: SystemAccount?) {
        name = account?.name ?? "uid-\(geteuid())"
        // An `&` of the comment is the account's name, its first letter large (passwd(5)).
        let capital = name.prefix(1).uppercased() + name.dropFirst()
        fullName = (account?.fullName ?? "").split(separator: "&", omittingEmptySubsequences: false)
            .joined(separator: capital)
        home = account?.home ?? "/"
        host = HostName.own(environment)
        domain = environment["MAILDOMAIN"].flatMap { $0.isEmpty ? nil : $0 } ?? host
    }
}
