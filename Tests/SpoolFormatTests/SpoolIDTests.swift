import SpoolFormat
import Testing

@Suite("Spool names") struct SpoolIDTests {
    @Test(
        "decimal digits are a name, and the name comes back",
        arguments: ["0", "1", "9", "1234567890", "18446744073709551615", "7123456789012345678"])
    func valid(name: String) { #expect(SpoolID(name)?.description == name) }

    @Test(
        "anything else is none: not even a number that another name stands for",
        arguments: [
            "", "00", "01", "007", "-1", "+1", " 1", "1 ", "1a", "a1", "1:poison", "1/2", ".1", "1\n",
            "18446744073709551616",
            "99999999999999999999", "100000000000000000000", "٣", "1\u{301}",
        ])
    func invalid(name: String) { #expect(SpoolID(name) == nil) }

    @Test("the time can be read from the name")
    func time() {
        var generator = SpoolIDGenerator(slot: 1023)
        let id = generator.next(milliseconds: 1_795_237_801_042)
        #expect(id.milliseconds == 1_795_237_801_042)
        #expect(id.unixTime == 1_795_237_801)
    }

    @Test("names of one generator only grow: clock standing still, going back, and more than 4096 in a millisecond")
    func monotonic() {
        var generator = SpoolIDGenerator(slot: 77)
        var clock: [Int64] = Array(repeating: 1_700_000_000_000, count: 10_000)
        clock += (0..<2000).map { 1_700_000_000_000 - $0 * 1000 }
        clock += [0, -1, .min, 1_700_000_000_001, 1_700_000_100_000, .max, .max, 5]
        var last = SpoolID(rawValue: 0)
        for milliseconds in clock {
            let id = generator.next(milliseconds: milliseconds)
            #expect(id > last)
            #expect(id.rawValue >> 6 & 0xffff == 77)
            last = id
        }
    }

    @Test("generators of different slots never meet")
    func slots() {
        var seen: Set<SpoolID> = []
        for slot in [0, 1, 1025, 32768, 65535] {
            var generator = SpoolIDGenerator(slot: slot)
            for step in 0..<9000 { seen.insert(generator.next(milliseconds: 1_700_000_000_000 + Int64(step / 8192))) }
        }
        #expect(seen.count == 5 * 9000)
        // Only sixteen bits of a pid count.
        var one = SpoolIDGenerator(slot: 5)
        var other = SpoolIDGenerator(slot: 5 + 65536)
        #expect(one.next(milliseconds: 1) == other.next(milliseconds: 1))
        var negative = SpoolIDGenerator(slot: -1)
        #expect(negative.next(milliseconds: 1).rawValue >> 6 & 0xffff == 0xffff)
    }
}

@Suite("Checksum") struct ChecksumTests {
    @Test(
        "the values of RFC 3720 appendix B.4",
        arguments: [
            ([UInt8](repeating: 0, count: 32), 0x8a91_36aa), ([UInt8](repeating: 0xff, count: 32), 0x62a8_ab43),
            (Array(0..<32), 0x46dd_794e), (Array((0..<32).reversed()), 0x113f_db5c),
            (Array("123456789".utf8), 0xe306_9283),
            ([], 0),
        ] as [([UInt8], UInt32)])
    func known(octets: [UInt8], value: UInt32) {
        #expect(Checksum(octets).value == value)
        #expect(Checksum(AnySequence(octets)).value == value)
        let digits = String(value, radix: 16)
        #expect(Checksum(octets).text == String(repeating: "0", count: 8 - digits.count) + digits)
    }

    @Test("it does not depend on how the octets are cut")
    func splits() {
        let octets = (0..<67).map { UInt8($0 * 37 & 255) }
        let whole = Checksum(octets)
        for first in 0...octets.count {
            for second in stride(from: first, through: octets.count, by: 5) {
                var sum = Checksum(octets[..<first])
                sum.update(octets[first..<second])
                sum.update(Array(octets[second...]))
                #expect(sum == whole)
            }
        }
    }
}

@Suite("ZMailer's spool id")
struct ZMailerNameTests {
    @Test("has the name, and the time of its making in ZMailer's letters")
    func form() {
        // 2003-03-12 22:08:19 UTC, the letters of the example in the specification but for the minute.
        let id = SpoolID(rawValue: UInt64(1_047_506_899_000) << 22)
        #expect(id.zmailerName == "S\(id)AbTCLWIT")
    }

    @Test("is read back, and nothing else is", arguments: [0, 1, 7_523_422_846_721_671_169, UInt64.max])
    func roundTrip(raw: UInt64) {
        let id = SpoolID(rawValue: raw)
        #expect(SpoolID(zmailerName: id.zmailerName) == id)
        #expect(SpoolID(zmailerName: id.zmailerName + "A") == nil)
        #expect(SpoolID(zmailerName: String(id.zmailerName.dropLast()) + "-") == nil)
        #expect(SpoolID(zmailerName: id.description) == nil)
        #expect(SpoolID(zmailerName: "S" + id.description) == nil)
    }
}
