import MailModel
import Testing

@testable import Resolver

/// Questions that libunbound answers from local zones: no packet leaves the machine.
@Suite("Resolver over libunbound, offline")
struct ResolverTests {
    static func resolver(_ zones: String, timeout: Duration = .seconds(10)) throws -> Resolver {
        var configuration = ResolverConfiguration()
        configuration.zones = try ZoneData(parsing: zones)
        configuration.timeout = timeout
        return try Resolver(configuration)
    }

    static let zones = """
        zone example.test. static
        data "example.test. 300 IN MX 10 mx1.example.test."
        data "example.test. 300 IN MX 20 mx2.example.test."
        data example.test. 300 IN TXT "v=spf1" " -all"
        data "mx1.example.test. 60 IN A 192.0.2.1"
        data "mx1.example.test. 60 IN A 192.0.2.2"
        data "mx1.example.test. 60 IN AAAA 2001:db8::1"
        data "mx2.example.test. 60 IN AAAA 2001:db8::2"
        zone 2.0.192.in-addr.arpa. static
        data "1.2.0.192.in-addr.arpa. 60 IN PTR mx1.example.test."
        zone broken.test. refuse
        """

    @Test("records come with their time to live")
    func records() throws {
        let resolver = try Self.resolver(Self.zones)
        #expect(
            Set(resolver.mailExchangers(of: "example.test").records.map(\.exchange)) == [
                "mx1.example.test", "mx2.example.test",
            ])
        guard case .answer(let answer) = resolver.addresses4(of: "MX1.example.test") else {
            Issue.record("no answer")
            return
        }
        #expect(Set(answer.records) == Set(["192.0.2.1", "192.0.2.2"].compactMap { IPAddress($0) }))
        #expect(answer.timeToLive == .seconds(60))
        #expect(!answer.isSecure)
        #expect(resolver.addresses6(of: "mx2.example.test").records == [try #require(IPAddress("2001:db8::2"))])
        #expect(resolver.texts(of: "example.test").records == [Array("v=spf1 -all".utf8)])
        #expect(resolver.names(of: try #require(IPAddress("192.0.2.1"))).records == ["mx1.example.test"])
    }

    @Test("no such name, no such record and no answer are three things")
    func failures() throws {
        let resolver = try Self.resolver(Self.zones)
        #expect(resolver.addresses4(of: "mx2.example.test") == .noData)
        #expect(resolver.addresses4(of: "nobody.example.test") == .nxDomain)
        #expect(resolver.addresses4(of: "host.broken.test") == .temporaryFailure("name server answered REFUSED"))
    }

    @Test("a server that is silent is a temporary failure at the deadline")
    func deadline() throws {
        var configuration = ResolverConfiguration()
        // Nothing answers on the discard port.
        configuration.forwarders = ["127.0.0.1@9"]
        configuration.timeout = .milliseconds(50)
        let resolver = try Resolver(configuration)
        let clock = ContinuousClock()
        let start = clock.now
        #expect(resolver.addresses4(of: "example.invalid-zone").isTemporaryFailure)
        #expect(clock.now - start < .seconds(5))
    }

    @Test("many threads ask at once")
    func concurrency() async throws {
        let resolver = try Self.resolver(Self.zones)
        let wrong = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    (0..<100).count { _ in resolver.mailExchangers(of: "example.test").records.count != 2 }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(wrong == 0)
    }

    @Test("one call asks many questions and keeps their order")
    func batch() throws {
        let resolver = try Self.resolver(Self.zones)
        let lookups = resolver.lookUp(
            [Question("nobody.example.test", .a), Question("example.test", .mx), Question("example.test", .aaaa)])
        #expect(lookups.count == 3)
        #expect(lookups[0] == .nxDomain)
        #expect(lookups[1].records.count == 2)
        #expect(lookups[2] == .noData)
    }

    @Test("zone data that libunbound refuses is told at start")
    func badRecord() {
        #expect(throws: ResolverError.self) {
            try Self.resolver("zone example.test. static\ndata \"example.test. 300 IN MX ten mail\"")
        }
    }
}
