import CPosix
import Glibc
import MailModel
import SASL
import Tables
import Testing

@testable import Credentials

@Suite("SCRAM against a table") struct SCRAMVerifierTests {
    private let folder: Scratch
    private let checker: CredentialChecker

    init() throws {
        folder = try Scratch()
        checker = try Self.checker(folder, ["alice:\(Sesame.scram)", "bob:\(Sesame.crypt[0])", "carol:*"])
    }

    private static func checker(_ folder: Scratch, _ lines: [String]) throws -> CredentialChecker {
        var settings = CredentialSettings()
        settings.table = try folder.write("passwords", lines.map { "\($0)\n" }.joined())
        settings.saltKey = "\(folder.path)/key"
        settings.pamService = nil
        return CredentialChecker(settings: settings)
    }

    private func parameters(_ checker: CredentialChecker, _ user: String) throws -> SCRAMParameters {
        let verdict = checker.verdict(on: CredentialRequest(client: nil, .scramParameters(user: name(user))))
        guard case .scramParameters(let parameters) = verdict.answer else {
            throw CheckerConnection.Trouble.malformed
        }
        return parameters
    }

    @Test("the example of RFC 7677 §3: this proof is accepted with this signature")
    func example() throws {
        let salt = try #require(Base64.decode("W22ZaJ0SNY7soEsUEjb6gQ==".utf8))
        let parameters = try #require(SCRAMParameters(salt: salt, iterations: 4096))
        let verifier = try #require(SCRAMKeys.verifier(of: secret("pencil"), parameters))
        let checker = try Self.checker(folder, ["user:\(verifier.text)"])
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        let message =
            "n=user,r=rOprNGfwEbeRWgbNEkqO,r=\(nonce),s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=\(nonce)"
        let proof = try #require(Base64.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=".utf8))
        let signature = try #require(Base64.decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".utf8))
        func answer(_ message: String, _ proof: [UInt8]) -> CredentialAnswer {
            checker.verdict(
                on: CredentialRequest(
                    client: nil,
                    .scramProof(user: name("user"), authMessage: Array(message.utf8), clientProof: proof))
            ).answer
        }
        #expect(try self.parameters(checker, "user") == parameters)
        #expect(answer(message, proof) == .scramAccepted(serverSignature: signature))
        #expect(answer(message + " ", proof) == .refused)
        for index in proof.indices {
            var other = proof
            other[index] ^= 1
            #expect(answer(message, other) == .refused)
        }
    }

    /// A client that derives its proof from a password.
    private func authenticate(_ user: String, _ password: String) throws -> (SASLServerExchange.Action, [String]) {
        var conversation = SASLServerExchange(.scramSHA256, nonce: ServerNonce(random: Array(0..<18)))
        var challenges: [String] = []
        func settled(_ action: SASLServerExchange.Action) -> SASLServerExchange.Action {
            var action = action
            while case .check(let question) = action {
                action = conversation.answered(checker.verdict(on: CredentialRequest(client: nil, question)).answer)
            }
            if case .challenge(let octets) = action { challenges.append(String(decoding: octets, as: UTF8.self)) }
            return action
        }
        let bare = "n=\(user),r=client"
        guard case .challenge(let first) = settled(conversation.begin(initialResponse: Array("n,,\(bare)".utf8))) else {
            throw CheckerConnection.Trouble.malformed
        }
        let serverFirst = String(decoding: first, as: UTF8.self)
        let fields = serverFirst.split(separator: ",").map { String($0.dropFirst(2)) }
        let salt = try #require(Base64.decode(fields[1].utf8))
        let iterations = try #require(Int(fields[2]))
        let without = "c=biws,r=\(fields[0])"
        let message = Array("\(bare),\(serverFirst),\(without)".utf8)
        let parameters = try #require(SCRAMParameters(salt: salt, iterations: iterations))
        let proof = try #require(ClientKeys.proof(secret(password), parameters, message))
        var action = settled(conversation.received(Array("\(without),p=\(Base64.encode(proof))".utf8)))
        if case .challenge = action { action = settled(conversation.received([])) }
        return (action, challenges)
    }

    @Test("a client with the right password gets in and can tell that we know it, too; others do not")
    func whole() throws {
        let (right, challenges) = try authenticate("alice", "sesame")
        #expect(right == .succeeded(user: name("alice")))
        #expect(challenges.count == 2 && challenges[1].hasPrefix("v="))
        for (user, password) in [("alice", "sesamf"), ("bob", "sesame"), ("carol", "sesame"), ("nobody", "sesame")] {
            let (wrong, challenges) = try authenticate(user, password)
            #expect(wrong == .failed(.invalidCredentials))
            #expect(challenges.count == 1)
        }
    }

    @Test(
        "users who have no keys, or are not there, look like those who have: the same salt each time, of the same size")
    func pretended() throws {
        let real = try parameters(checker, "alice")
        for user in ["bob", "carol", "nobody", "n2"] {
            let pretended = try parameters(checker, user)
            #expect(pretended.iterations == real.iterations && pretended.salt.count == real.salt.count)
            #expect(pretended.salt != real.salt)
            #expect(try parameters(checker, user) == pretended)
        }
        #expect(try parameters(checker, "nobody").salt != parameters(checker, "n2").salt)
        // What else is in the table makes no difference.
        let more = try Self.checker(folder, ["alice:\(Sesame.scram)", "dora:\(Sesame.scram)", "bob:*"])
        #expect(try parameters(more, "nobody") == parameters(checker, "nobody"))
    }

    @Test("with several iteration counts, users who are not there have each of them, as often as the table")
    func mixedCounts() throws {
        let other = Sesame.scram.replacing("4096:", with: "8192:")
        let checker = try Self.checker(folder, ["a:\(Sesame.scram)", "b:\(Sesame.scram)", "c:\(other)"])
        let counts = try (0..<300).map { try parameters(checker, "user\($0)").iterations }
        let few = counts.filter { $0 == 8192 }.count
        #expect(counts.allSatisfy { $0 == 4096 || $0 == 8192 } && (60...140).contains(few), "\(few)")
    }

    @Test("the key is made once, for its owner alone, by whichever process is first")
    func key() throws {
        let path = "\(folder.path)/new"
        let seeds = try (0..<3).map { _ in try SaltKey(path: path).seed(name("x")) }
        #expect(Set(seeds).count == 1)
        var information = stat()
        #expect(stat(path, &information) == 0 && information.st_mode & 0o7777 == 0o600 && information.st_size == 32)
        #expect(try SaltKey(path: "\(folder.path)/other").seed(name("x")) != seeds[0])
    }

    @Test("without a usable key nobody gets parameters, whether he exists or not")
    func keyTrouble() throws {
        try folder.write("readable", String(repeating: "k", count: 32), mode: 0o644)
        try folder.write("short", "k")
        try folder.write("long", String(repeating: "k", count: 33))
        try #require(symlink("\(folder.path)/readable", "\(folder.path)/link") == 0)
        try #require(mkdir("\(folder.path)/folder", 0o700) == 0)
        for file in ["readable", "short", "long", "link", "folder", "missing/key"] {
            var settings = checker.settings
            settings.saltKey = "\(folder.path)/\(file)"
            for user in ["alice", "nobody"] {
                let verdict = CredentialChecker(settings: settings).verdict(
                    on: CredentialRequest(client: nil, .scramParameters(user: name(user))))
                #expect(verdict.answer == .unavailable(reason: verdict.detail))
                #expect(verdict.detail.hasPrefix("\(folder.path)/\(file): "), "\(verdict.detail)")
            }
        }
    }

    @Test("without SCRAM lines, without a table, or without a key there is no SCRAM")
    func none() throws {
        let plain = try Self.checker(folder, ["alice:\(Sesame.crypt[0])"])
        var noKey = plain.settings
        noKey.saltKey = nil
        for settings in [plain.settings, noKey, CredentialSettings()] {
            let verdict = CredentialChecker(settings: settings).verdict(
                on: CredentialRequest(client: nil, .scramParameters(user: name("alice"))))
            #expect(verdict.answer == .unavailable(reason: verdict.detail) && !verdict.detail.isEmpty)
        }
        #expect(plain.settings.offersSCRAM && !noKey.offersSCRAM && !CredentialSettings().offersSCRAM)
    }
}

/// What a client computes (RFC 5802 §3).
private enum ClientKeys {
    static func proof(_ secret: Secret, _ parameters: SCRAMParameters, _ message: [UInt8]) -> [UInt8]? {
        guard let verifier = SCRAMKeys.verifier(of: secret, parameters),
            let salted = pbkdf2(secret, parameters), let key = SCRAMKeys.hmac(salted, Array("Client Key".utf8)),
            let signature = SCRAMKeys.hmac(verifier.storedKey, message)
        else { return nil }
        return zip(key, signature).map { $0 ^ $1 }
    }

    /// By its definition (RFC 8018 §5.2), for one block.
    private static func pbkdf2(_ secret: Secret, _ parameters: SCRAMParameters) -> [UInt8]? {
        let password = secret.withOctets { Array($0) }
        guard var block = SCRAMKeys.hmac(password, parameters.salt + [0, 0, 0, 1]) else { return nil }
        var sum = block
        for _ in 1..<parameters.iterations {
            guard let next = SCRAMKeys.hmac(password, block) else { return nil }
            block = next
            for index in sum.indices { sum[index] ^= next[index] }
        }
        return sum
    }
}
