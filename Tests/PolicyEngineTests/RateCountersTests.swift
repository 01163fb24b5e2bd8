import MailModel
import Policy
import Testing

@testable import PolicyEngine

@Suite("Rates over the sliding hour")
struct RateCountersTests {
    static func key(_ address: String) throws -> RateKey { try #require(RateKey(client: IPAddress(address))) }

    @Test("what is stored counts for the rest of its slot and seven more")
    func window() throws {
        let key = try Self.key("192.0.2.1")
        var rates = RateCounters<RateKey>(limit: 200_000)
        rates.add(key, messages: 1, recipients: 3, now: 1000)
        for (now, expected) in [(1000, 1), (1349, 1), (1350, 1), (4499, 1), (4500, 0), (100_000, 0)] as [(Int64, Int)] {
            #expect(rates.count(key, now: now).messages == expected, "at \(now)")
            #expect(rates.count(key, now: now).recipients == 3 * expected, "at \(now)")
        }
    }

    @Test("slots add up and leave one by one")
    func slots() throws {
        let key = try Self.key("192.0.2.1")
        var rates = RateCounters<RateKey>(limit: 200_000)
        for slot in 0..<20 as Range<Int64> {
            rates.add(key, messages: 1, recipients: 10, now: slot * 450)
            #expect(rates.count(key, now: slot * 450).messages == min(Int(slot) + 1, 8))
        }
        #expect(rates.count(key, now: 19 * 450 + 4 * 450).recipients == 40)
    }

    @Test("a clock that goes back loses nothing")
    func backwards() throws {
        let key = try Self.key("192.0.2.1")
        var rates = RateCounters<RateKey>(limit: 200_000)
        rates.add(key, messages: 1, recipients: 1, now: 9000)
        rates.add(key, messages: 1, recipients: 1, now: 10)
        #expect(rates.count(key, now: 9000).messages == 2)
        #expect(rates.count(key, now: -5).messages == 2)
    }

    @Test("hosts of one IPv6 /64 are one client; IPv4-mapped addresses are IPv4")
    func keys() throws {
        #expect(try Self.key("2001:db8::1") == Self.key("2001:db8::ffff:1"))
        #expect(try Self.key("::ffff:192.0.2.1") == Self.key("192.0.2.1"))
        #expect(try Self.key("192.0.2.2") != Self.key("192.0.2.1"))
        #expect(RateKey(client: nil) == nil)
    }

    @Test("numbers that do not fit stay the largest, negative ones count nothing")
    func overflow() throws {
        let key = try Self.key("192.0.2.1")
        var rates = RateCounters<RateKey>(limit: 200_000)
        rates.add(key, messages: .max, recipients: .max, now: 0)
        rates.add(key, messages: 1, recipients: -7, now: 450)
        #expect(rates.count(key, now: 450).messages == .max)
        #expect(rates.count(key, now: 450).recipients == .max)
    }
}
