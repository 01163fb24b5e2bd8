import COpenSSL
import Foundation

/// The client side of SCRAM-SHA-256 (RFC 5802, RFC 7677), for users and passwords of ASCII.
struct SCRAMClient {
    let clientFirst: String
    private let header: String
    private let bare: String
    private let nonce: String
    private let password: String
    private let binding: [UInt8]
    private var serverSignature: [UInt8] = []

    /// - Parameter binding: `tls-exporter` (RFC 9266), for the -PLUS mechanism; nil: the client knows none.
    init(user: String, password: String, binding: [UInt8]?, nonce: String = Self.freshNonce()) {
        header = binding == nil ? "n,," : "p=tls-exporter,,"
        self.nonce = nonce
        bare = "n=\(user),r=\(nonce)"
        clientFirst = header + bare
        self.password = password
        self.binding = binding ?? []
    }

    private static func freshNonce() -> String {
        (0..<24).map { _ in String("abcdefghijklmnopqrstuvwxyz".randomElement() ?? "a") }.joined()
    }

    /// The answer to the server's first message.
    mutating func answer(_ serverFirst: String) throws -> String {
        let fields = Self.fields(serverFirst)
        guard let all = fields["r"], all.hasPrefix(nonce), all.count > nonce.count,
            let salt = fields["s"].flatMap({ Data(base64Encoded: $0) }), let count = fields["i"].flatMap({ Int32($0) }),
            count >= 4096
        else { throw HarnessError("no first message of a SCRAM server: \(serverFirst)") }
        var salted = [UInt8](repeating: 0, count: 32)
        let octets = Array(password.utf8CString)
        guard
            PKCS5_PBKDF2_HMAC(
                octets, Int32(octets.count - 1), Array(salt), Int32(salt.count), count, EVP_sha256(), 32, &salted) == 1
        else { throw HarnessError("OpenSSL: no PBKDF2") }
        let channel = Data(Array(header.utf8) + binding).base64EncodedString()
        let withoutProof = "c=\(channel),r=\(all)"
        let message = "\(bare),\(serverFirst),\(withoutProof)"
        let clientKey = Self.mac(salted, "Client Key")
        let proof = zip(clientKey, Self.mac(Self.digest(clientKey), message)).map { $0 ^ $1 }
        serverSignature = Self.mac(Self.mac(salted, "Server Key"), message)
        return "\(withoutProof),p=\(Data(proof).base64EncodedString())"
    }

    /// Whether the server proved that it knows the password, too.
    func accepts(_ serverFinal: String) -> Bool {
        serverFinal == "v=" + Data(serverSignature).base64EncodedString()
    }

    private static func fields(_ message: String) -> [String: String] {
        var fields: [String: String] = [:]
        for field in message.split(separator: ",") where field.dropFirst().first == "=" {
            fields[String(field.prefix(1))] = String(field.dropFirst(2))
        }
        return fields
    }

    private static func mac(_ key: [UInt8], _ text: String) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: 32)
        let octets = Array(text.utf8)
        HMAC(EVP_sha256(), key, Int32(key.count), octets, octets.count, &result, nil)
        return result
    }

    private static func digest(_ octets: [UInt8]) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: 32)
        EVP_Digest(octets, octets.count, &result, nil, EVP_sha256(), nil)
        return result
    }
}
