import Configuration
import MailModel
import SASL

/// The secrets file (`-A`): who we are at which smarthost.
///
///     # channel|*  host              user (base64)  password (base64)  keywords
///     *            smarthost.test    YWxpY2U=       c2VjcmV0
///     smtp-out     [192.0.2.1]:587   YWxpY2U=       c2VjcmV0           mechanisms=SCRAM-SHA-256,PLAIN
///     *            [127.0.0.1]:2525  YWxpY2U=       c2VjcmV0           cleartext
///
/// The first line that fits holds. `host` is the next hop of the route, with its port or for all ports; not the name of a host that MX
/// records lead to, which anybody may have written there.
struct AuthSecrets: Hashable, Sendable {
    struct Entry: Hashable, Sendable {
        /// `nil`: every channel.
        let channel: String?
        /// In lower case, as ``NextHop`` writes it.
        let host: String
        let credentials: SASLClientExchange.Credentials
        /// `cleartext`: also without TLS.
        let allowsClearText: Bool
        /// `mechanisms=`: the ones that may be used; all, strongest first.
        let mechanisms: Set<SASLMechanism>
    }

    let entries: [Entry]

    static let none = AuthSecrets(entries: [])

    /// The entry for a next hop.
    func entry(channel: String, hop: NextHop) -> Entry? {
        let full = asciiLowercased(hop.description)
        let plain = asciiLowercased(NextHop(destination: hop.destination).description)
        return entries.first { entry in
            (entry.channel == nil || entry.channel == channel) && (entry.host == full || entry.host == plain)
        }
    }

    private init(entries: [Entry]) { self.entries = entries }

    /// Errors name file and line, and nothing of the secrets.
    init(parsing octets: [UInt8], file: String) throws(ConfigurationErrors) {
        var entries: [Entry] = []
        var errors: [ConfigurationError] = []
        for (number, line) in Octets.split(octets[...], at: 0x0a).enumerated() {
            let words = line.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }
            guard let first = words.first, first.first != UInt8(ascii: "#") else { continue }
            do throws(Mistake) {
                entries.append(try Self.entry(words))
            } catch {
                errors.append(ConfigurationError(file: file, line: number + 1, key: "", reason: error.rawValue))
            }
        }
        guard errors.isEmpty else { throw ConfigurationErrors(errors) }
        self.entries = entries
    }

    private enum Mistake: String, Error {
        case fields = "valid is: channel|* host base64user base64password [cleartext] [mechanisms=NAME,…]"
        case host = "the second word is no next hop; valid are HOST, [ADDRESS], either with :PORT, and UNIX:/PATH"
        case user = "the third word is no base64 of a user name"
        case password = "the fourth word is no base64 of a password of 1 to 1024 octets without NUL"
        case keyword = "valid behind the password are cleartext and mechanisms=NAME,…"
        case mechanism = "valid mechanisms are SCRAM-SHA-256-PLUS, SCRAM-SHA-256, PLAIN and LOGIN"
    }

    private static func entry(_ words: [ArraySlice<UInt8>]) throws(Mistake) -> Entry {
        guard words.count >= 4 else { throw .fields }
        guard let hop = NextHop(Octets.text(words[1])) else { throw .host }
        guard let user = Base64.decode(words[2]).flatMap({ UserName($0) }) else { throw .user }
        guard var password = Base64.decode(words[3]), Password.lengths.contains(password.count), !password.contains(0)
        else { throw .password }
        defer { Secret.wipe(&password) }
        var allowsClearText = false
        var mechanisms = Set(SASLMechanism.allCases)
        for word in words.dropFirst(4) {
            if Octets.equal(word, "cleartext") {
                allowsClearText = true
            } else if Octets.hasPrefix(word, "mechanisms=") {
                mechanisms = []
                for name in Octets.text(word.dropFirst(11)).split(separator: ",", omittingEmptySubsequences: false) {
                    guard let mechanism = SASLMechanism(name: name) else { throw .mechanism }
                    mechanisms.insert(mechanism)
                }
            } else {
                throw .keyword
            }
        }
        return Entry(
            channel: words[0].elementsEqual("*".utf8) ? nil : Octets.text(words[0]),
            host: asciiLowercased(hop.description),
            credentials: SASLClientExchange.Credentials(user: user, password: Secret(password)),
            allowsClearText: allowsClearText, mechanisms: mechanisms)
    }
}
