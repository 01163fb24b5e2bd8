import MailModel
import Testing

@testable import SASL

@Suite("The client's side of SASL exchanges")
struct ClientExchangeTests {
    private static func credentials(_ user: String, _ password: String) throws -> SASLClientExchange.Credentials {
        SASLClientExchange.Credentials(user: try #require(UserName(user)), password: Secret(Array(password.utf8)))
    }

    private func client(
        _ mechanism: SASLMechanism, user: String = "user", binding: SASLClientExchange.Binding? = nil,
        isPlusOffered: Bool = false
    ) throws -> SASLClientExchange {
        SASLClientExchange(
            mechanism, as: try Self.credentials(user, "pencil"), nonce: ServerNonce(text: "rOprNGfwEbeRWgbNEkqO"),
            binding: binding, isPlusOffered: isPlusOffered)
    }

    private func text(_ octets: [UInt8]?) -> String? { octets.map { String(decoding: $0, as: UTF8.self) } }

    @Test("PLAIN (RFC 4616): one message, and nothing more to say")
    func plain() throws {
        var exchange = try client(.plain)
        #expect(text(exchange.initialResponse) == "\0user\0pencil")
        #expect(!exchange.isComplete)
        exchange.initialResponseSent()
        #expect(exchange.isComplete)
        guard case .failed = exchange.received([]) else {
            Issue.record("a second message")
            return
        }
        #expect(!exchange.isComplete)
        var late = try client(.plain)
        #expect(late.received([]) == .respond(Array("\0user\0pencil".utf8)))
        #expect(late.isComplete)
    }

    @Test("LOGIN: name, then password, whatever the prompts are")
    func login() throws {
        var exchange = try client(.login)
        #expect(exchange.initialResponse == nil)
        #expect(exchange.received(Array("Benutzer?".utf8)) == .respond(Array("user".utf8)))
        #expect(!exchange.isComplete)
        #expect(exchange.received([]) == .respond(Array("pencil".utf8)))
        #expect(exchange.isComplete)
    }

    private static let serverFirst =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    private static let clientFinal = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    private static let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    private static let signature = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

    @Test("SCRAM-SHA-256: the example of RFC 7677 §3, message by message")
    func scram() throws {
        var exchange = try client(.scramSHA256)
        #expect(text(exchange.initialResponse) == "n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
        exchange.initialResponseSent()
        guard case .derive(let derivation) = exchange.received(Array(Self.serverFirst.utf8)) else {
            Issue.record("no derivation")
            return
        }
        #expect(derivation.parameters.iterations == 4096)
        #expect(
            text(derivation.authMessage)
                == "n=user,r=rOprNGfwEbeRWgbNEkqO,\(Self.serverFirst),\(Self.clientFinal)")
        let keys = SCRAMDerivation.Keys(
            clientProof: try #require(Base64.decode(Array(Self.proof.utf8))),
            serverSignature: try #require(Base64.decode(Array(Self.signature.utf8))))
        #expect(exchange.derived(keys) == .respond(Array("\(Self.clientFinal),p=\(Self.proof)".utf8)))
        #expect(!exchange.isComplete)
        var other = exchange
        #expect(exchange.received(Array("v=\(Self.signature)".utf8)) == .respond([]))
        #expect(exchange.isComplete)
        // Somebody else, who has only said that all is well.
        guard case .failed = other.received(Array("v=\(Self.proof)".utf8)) else {
            Issue.record("a wrong signature was taken")
            return
        }
        #expect(!other.isComplete)
    }

    @Test(
        "a server that does not keep to SCRAM is broken off",
        arguments: [
            "", "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1", "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=100000000",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,m=x",
            "m=x,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "e=other-error",
        ])
    func scramFailures(message: String) throws {
        var exchange = try client(.scramSHA256)
        exchange.initialResponseSent()
        guard case .failed = exchange.received(Array(message.utf8)) else {
            Issue.record("taken")
            return
        }
        #expect(!exchange.isComplete)
    }

    @Test("channel bindings: p= with -PLUS, y where the server offers none, n where we have none")
    func bindings() throws {
        let binding = SASLClientExchange.Binding(name: "tls-exporter", data: [1, 2, 3])
        #expect(
            text(try client(.scramSHA256Plus, binding: binding, isPlusOffered: true).initialResponse)?.hasPrefix(
                "p=tls-exporter,,n=") == true)
        #expect(text(try client(.scramSHA256, binding: binding).initialResponse)?.hasPrefix("y,,n=") == true)
        #expect(
            text(try client(.scramSHA256, binding: binding, isPlusOffered: true).initialResponse)?.hasPrefix("n,,n=")
                == true)
        #expect(text(try client(.scramSHA256, user: "a,b=c").initialResponse)?.hasPrefix("n,,n=a=2Cb=3Dc,r=") == true)
        var exchange = try client(.scramSHA256Plus, binding: binding, isPlusOffered: true)
        exchange.initialResponseSent()
        guard case .derive(let derivation) = exchange.received(Array(Self.serverFirst.utf8)) else {
            Issue.record("no derivation")
            return
        }
        let expected = Base64.encode(Array("p=tls-exporter,,".utf8) + [1, 2, 3])
        #expect(text(derivation.authMessage)?.contains(",c=\(expected),r=") == true)
    }
}
