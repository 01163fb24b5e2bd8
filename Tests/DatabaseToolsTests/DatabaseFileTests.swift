import Glibc
import Policy
import ProgramKit
import Tables
import Testing

@testable import DatabaseTools

@Suite("A database file")
struct DatabaseFileTests {
    private static let source = (0..<2000).map { "host\($0).test freeze +\n" }.joined()

    @Test("whatever it is, a broken file is an error in words")
    func broken() throws {
        let scratch = try Scratch()
        try build(Self.source, scratch)
        let good = try scratch.octets("policy.gdbm")
        let cases: [(String, [UInt8], String)] = [
            ("empty", [], "is empty"),
            ("text", Array("this is a text, and long enough to be a header of something\n".utf8), "wrong type of file"),
            ("zero", [UInt8](repeating: 0, count: 8192), "wrong type of file"),
            ("short", Array(good[..<20]), "is truncated"),
            ("header", Array(good[..<4096]), "is truncated"),
            ("half", Array(good[..<(good.count / 2)]), "is truncated"),
            ("last", Array(good.dropLast()), "is truncated"),
        ]
        for (name, octets, word) in cases {
            try scratch.write(octets, to: name)
            let failure = #expect(throws: GDBMFailure.self, "\(name)") { try GDBMReader(path: scratch.file(name)) }
            #expect(failure?.description.hasPrefix("\(scratch.file(name)): ") == true)
            #expect(failure?.description.contains(word) == true, "\(name): \(String(describing: failure))")
            #expect(failure?.code == 0)
        }
        let missing = #expect(throws: GDBMFailure.self) { try GDBMReader(path: scratch.file("missing")) }
        #expect(missing?.code == ENOENT)
        let folder = #expect(throws: GDBMFailure.self) { try GDBMReader(path: scratch.path) }
        #expect(folder?.reason == "is no file")
        try #require(mkfifo(scratch.file("fifo"), 0o600) == 0)
        let fifo = #expect(throws: GDBMFailure.self) { try GDBMReader(path: scratch.file("fifo")) }
        #expect(fifo?.reason == "is no file")
    }

    @Test("what the library has written is found, all of it and nothing else", arguments: [0, 1, 160, 5000, 40_000])
    func agreesWithTheLibrary(count: Int) throws {
        let scratch = try Scratch()
        var generator = Numbers(seed: UInt64(count))
        var values: [[UInt8]: [UInt8]] = [:]
        func octets(_ range: ClosedRange<Int>) -> [UInt8] {
            (0..<Int.random(in: range, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
        }
        let writer = try GDBMWriter(path: scratch.file("x.gdbm"))
        for _ in 0..<count {
            let (key, value) = (octets(1...30), octets(0...90))
            let isNew = try writer.insert(key, value)
            #expect(isNew == (values[key] == nil))
            if isNew { values[key] = value }
        }
        try writer.commit()
        let reader = try GDBMReader(path: scratch.file("x.gdbm"))
        for (key, value) in values where try reader.octets(for: key) != value { Issue.record("\(key)") }
        for _ in 0..<1000 {
            let key = octets(1...30)
            if try reader.octets(for: key) != values[key] { Issue.record("\(key)") }
        }
        #expect(try reader.octets(for: []) == nil)
        var all: [[UInt8]: [UInt8]] = [:]
        var times = 0
        try reader.forEach { key, value in
            all[key] = value
            times += 1
        }
        #expect(all == values)
        #expect(times == values.count, "each once")
    }

    @Test("every truncation is noticed at the opening")
    func truncated() throws {
        let scratch = try Scratch()
        try build("a.test freeze +\n", scratch)
        let good = try scratch.octets("policy.gdbm")
        for length in stride(from: 0, to: good.count, by: 97) {
            try scratch.write(Array(good[..<length]), to: "cut")
            #expect(throws: GDBMFailure.self, "\(length)") { try GDBMReader(path: scratch.file("cut")) }
        }
    }

    @Test("a file that is truncated while it is in use gives errors and no signal")
    func truncatedInUse() throws {
        let scratch = try Scratch()
        try build(Self.source, scratch)
        let reader = try GDBMReader(path: scratch.file("policy.gdbm"))
        let database = GDBMPolicyDatabase(basename: scratch.file("policy")) { _ in }
        let key = PolicyKey.domain("host1999.test").octets
        #expect(try reader.octets(for: key) != nil)
        #expect(try database.current(now: 0).value(for: key) != nil)
        try #require(truncate(scratch.file("policy.gdbm"), 8192) == 0)
        let failure = #expect(throws: GDBMFailure.self) { try reader.octets(for: key) }
        #expect(failure?.description.contains("was truncated") == true)
        let trouble = #expect(throws: PolicyTrouble.self) { try database.current(now: 0) }
        #expect(trouble?.description.contains("was truncated") == true)
    }

    @Test("octets that were changed on the disk give errors or other answers, and never more")
    func damaged() throws {
        let scratch = try Scratch()
        try build(Self.source, scratch)
        let good = try scratch.octets("policy.gdbm")
        var generator = Numbers(seed: 4)
        for round in 0..<200 {
            var octets = good
            for _ in 0..<(1 + round % 8) {
                // Half of them where the header and the directory are.
                let limit = round % 2 == 0 ? 8192 : octets.count
                octets[Int(generator.next() % UInt64(limit))] = UInt8(truncatingIfNeeded: generator.next())
            }
            try scratch.write(octets, to: "damaged")
            do throws(GDBMFailure) {
                let reader = try GDBMReader(path: scratch.file("damaged"))
                for number in 0..<300 { _ = try reader.octets(for: PolicyKey.domain("host\(number).test").octets) }
            } catch {
                #expect(!error.reason.isEmpty)
            }
        }
    }

    @Test("extreme numbers in the header, the directory or a bucket give errors or other answers, and never more")
    func extremes() throws {
        let scratch = try Scratch()
        try build(Self.source, scratch)
        let good = try scratch.octets("policy.gdbm")
        func word(_ at: Int) -> Int { (0..<8).reduce(0) { $0 | Int(good[at + $1]) << (8 * $1) } }
        let directory = word(8)
        let bucket = word(directory)
        let numbers = [
            0, 1, -1, 39, 40, 111, 112, 113, 4096, good.count - 1, good.count, good.count + 1, 1 << 31, (1 << 31) - 1,
            1 << 32,
            .max - 112, .max - 1, .max, .min, .min + 1, .min + 41,
        ]
        let places =
            Array(stride(from: 8, to: 48, by: 4)) + [directory, bucket + 108] + Array(bucket + 112..<bucket + 136)
        for place in places {
            for number in numbers {
                for width in [4, 8] {
                    var octets = good
                    for index in 0..<width { octets[place + index] = UInt8(truncatingIfNeeded: number >> (8 * index)) }
                    if place == 8 || place == 32 {
                        // The directory and the size, each with the other at its end.
                        for index in 0..<8 {
                            octets[40 - place + index] = UInt8(truncatingIfNeeded: Int.max >> (8 * index))
                        }
                    }
                    try scratch.write(octets, to: "extreme")
                    do throws(GDBMFailure) {
                        let reader = try GDBMReader(path: scratch.file("extreme"))
                        for number in 0..<20 {
                            _ = try reader.octets(for: PolicyKey.domain("host\(number).test").octets)
                        }
                        try reader.forEach { _, _ in }
                    } catch {
                        #expect(!error.reason.isEmpty)
                    }
                }
            }
        }
    }

    @Test("reading does not gather memory")
    func memory() throws {
        let scratch = try Scratch()
        try build((0..<20_000).map { "host\($0).test freeze +\n" }.joined(), scratch)
        let reader = try GDBMReader(path: scratch.file("policy.gdbm"))
        func readAll() throws {
            for number in 0..<20_000 {
                _ = try reader.octets(for: PolicyKey.domain("host\(number).test").octets)
            }
        }
        try readAll()
        let before = try anonymousMemory()
        for _ in 0..<10 { try readAll() }
        // Other tests run at the same time: what counts is that 200,000 values are not all there.
        #expect(try anonymousMemory() - before < 12 << 10)
    }

    /// Kilobytes.
    private func anonymousMemory() throws -> Int {
        let descriptor = open("/proc/self/status", O_RDONLY | O_CLOEXEC)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        var octets = [UInt8](repeating: 0, count: 8192)
        let count = read(descriptor, &octets, octets.count)
        let text = String(decoding: octets[..<max(0, count)], as: UTF8.self)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("RssAnon:") })
        return try #require(
            line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) })
    }

    @Test("a builder that gives up leaves nothing, and the file before as it was")
    func abandoned() throws {
        let scratch = try Scratch()
        try scratch.write("before", to: "policy.gdbm")
        do {
            let writer = try GDBMWriter(path: scratch.file("policy.gdbm"))
            #expect(try writer.insert([1], [2]))
            #expect(try !writer.insert([1], [3]))
        }
        #expect(scratch.names == ["policy.gdbm"])
        #expect(try scratch.text("policy.gdbm") == "before")
    }

    @Test("a finished one is readable for all, whatever the umask, and leftovers of the name beside it are replaced")
    func committed() throws {
        let scratch = try Scratch()
        try scratch.write("rest", to: "policy-new.gdbm")
        let writer = try GDBMWriter(path: scratch.file("policy.gdbm"))
        #expect(try writer.append([1], [2]))
        #expect(try !writer.append([1], [3], separator: [0]))
        try writer.commit()
        #expect(scratch.names == ["policy.gdbm"])
        var info = stat()
        try #require(stat(scratch.file("policy.gdbm"), &info) == 0)
        #expect(info.st_mode & 0o777 == 0o644)
        #expect(try GDBMReader(path: scratch.file("policy.gdbm")).octets(for: [1]) == [2, 0, 3])
    }

    @Test("keys that all have the same hash value are an error in words, and the file before stays")
    func crowded() throws {
        let scratch = try Scratch()
        try build("a.test freeze +\n", scratch)
        let before = try scratch.octets("policy.gdbm")
        // The hash adds octets shifted by a number that comes again after 24: what one gets more the other gets less.
        var source = ""
        for first in 0..<16 {
            for second in 0..<16 {
                var name = [UInt8](repeating: 0x78, count: 40)
                (name[0], name[24]) = (UInt8(0x61 + first), UInt8(0x61 + 15 - first))
                (name[1], name[25]) = (UInt8(0x61 + second), UInt8(0x61 + 15 - second))
                source += "\(String(decoding: name, as: UTF8.self)).test freeze +\n"
            }
        }
        let failure = #expect(throws: DatabaseBuilder.Failure.self) { try build(source, scratch) }
        #expect(failure?.code == .dataError)
        let line = failure?.lines.first ?? ""
        #expect(
            line.hasPrefix("\(scratch.file("policy.dat")):161: ") && line.contains("the same hash value"), "\(line)")
        #expect(try scratch.octets("policy.gdbm") == before)
    }

    @Test("a folder that is not there or not ours is an error in words")
    func folder() throws {
        let failure = #expect(throws: GDBMFailure.self) { try GDBMWriter(path: "/nonexistent/policy.gdbm") }
        #expect(failure?.description.contains("/nonexistent: No such file or directory") == true)
    }
}

/// Numbers that are the same each time (SplitMix64).
struct Numbers: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
