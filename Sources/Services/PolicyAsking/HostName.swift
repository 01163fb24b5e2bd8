import Configuration
import Glibc
import MailModel

/// The name of this host in mail.
public enum HostName {
    /// `HOSTNAME` of zmailer.conf; else the system's, made full by the resolver's files if it has no dot.
    public static func own(_ environment: ZEnvironment) -> String {
        if let name = environment["HOSTNAME"], !name.isEmpty { return name }
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        let name = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        if name.contains(".") { return name }
        return canonical(name) ?? name
    }

    private static func canonical(_ name: String) -> String? {
        var hints = addrinfo()
        hints.ai_flags = AI_CANONNAME
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var result: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, &hints, &result) == 0, let result else { return nil }
        defer { freeaddrinfo(result) }
        guard let text = result.pointee.ai_canonname.map({ String(cString: $0) }), text.contains("."),
            DomainName(text) != nil
        else { return nil }
        return text
    }
}
