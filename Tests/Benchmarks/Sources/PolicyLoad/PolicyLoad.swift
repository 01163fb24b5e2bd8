import Glibc
import MailModel
import Policy
import Tables

/// PolicyLoad BASENAME [SECONDS]: what the policy database of that name costs: key look-ups a second, complete decisions about
/// recipients a second (question's line in, answer's line out, with the DNS facts at hand), on one core, and memory.
@main
struct PolicyLoad {
    static func fail(_ reason: String) -> Never {
        print(reason)
        fflush(nil)
        exit(1)
    }

    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 2, let seconds = arguments.count > 2 ? Double(arguments[2]) : 5 else {
            fail("usage: PolicyLoad BASENAME [SECONDS]")
        }
        Memory.print("before")
        let file = GDBMPolicyDatabase(basename: arguments[1]) { event in
            if case .broken(let reason, _) = event { fail(reason) }
        }
        let database = try file.current(now: 0)
        print("entries \(try database.metadata().entries)")
        Memory.print("opened")

        let keys = try sample(database)
        let found = try rate("look-ups of keys that are there", seconds) { number in
            try database.value(for: keys[number % keys.count]) != nil
        }
        guard found else { fail("a key was not found") }
        let missing = keys.map { Array($0.dropLast()) + Array("x".utf8) }
        let foundOther = try rate("look-ups of keys that are not", seconds) { number in
            try database.value(for: missing[number % missing.count]) == nil
        }
        guard foundOther else { fail("a key was found that is not there") }

        let scenes = try Scene.all(database, keys)
        Memory.print("with the keys and questions of this benchmark")
        for scene in scenes { try scene.run(seconds) }
        Memory.print("after")
    }

    /// Keys from all over the file.
    static func sample(_ database: GDBMReader) throws -> [[UInt8]] {
        let entries = try database.metadata().entries
        let step = max(1, entries / 100_000)
        var keys: [[UInt8]] = []
        var number = 0
        try database.forEach { key, _ in
            if number % step == 0 { keys.append(key) }
            number += 1
        }
        var generator = Numbers()
        keys.shuffle(using: &generator)
        return keys
    }

    /// Calls `body` for that long; prints how often a second. The result is whether it was always `true`.
    static func rate(_ what: String, _ seconds: Double, _ body: (Int) throws -> Bool) rethrows -> Bool {
        var isGood = true
        var count = 0
        let start = processorSeconds()
        while processorSeconds() - start < seconds {
            for _ in 0..<1000 {
                if try !body(count) { isGood = false }
                count += 1
            }
        }
        let used = processorSeconds() - start
        let perSecond = Double(count) / used
        print("\(what): \(Int(perSecond)) a second (\(Int(used * 1e9 / Double(count))) ns each)")
        return isGood
    }

    static func processorSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

enum Memory {
    /// Kilobytes of this process: resident, private (not the mapped file, which can be shared and dropped).
    static func print(_ when: String) {
        guard let file = fopen("/proc/self/smaps_rollup", "r") else { return }
        defer { fclose(file) }
        var sums: [String: Int] = [:]
        var buffer = [CChar](repeating: 0, count: 256)
        while fgets(&buffer, Int32(buffer.count), file) != nil {
            let line = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let words = line.split(separator: " ")
            guard words.count >= 2, let number = Int(words[1]) else { continue }
            sums[String(words[0])] = number
        }
        Swift.print("memory \(when): resident \(sums["Rss:"] ?? 0) kB, of its own \(sums["Anonymous:"] ?? 0) kB")
    }
}

/// Numbers that are the same each time.
struct Numbers: RandomNumberGenerator {
    private var state: UInt64 = 1
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 31
    }
}
