import Configuration
import Glibc
import SpoolFormat

@testable import Scheduling

/// `SchedulerSimulation week [recipients [destinations [seed]]]`: a week of the scheduler's core in a world of failures.
/// `SchedulerSimulation memory [messages [hosts]]`: messages of one recipient whose hosts are down: octets for each, time to load them.
/// `SchedulerSimulation suspend [messages [hosts [suspensions]]]`: all of them ready and suspended: the longest time that a turn takes.
@main
enum SchedulerSimulation {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        let numbers = arguments.dropFirst().compactMap { Int($0) }
        func number(_ index: Int, _ usual: Int) -> Int { numbers.count > index ? numbers[index] : usual }
        switch arguments.first ?? "week" {
        case "week":
            exit(week(number(0, 1_000_000), number(1, 50_000), UInt64(clamping: number(2, 1))))
        case "memory": memory(number(0, 1_000_000), number(1, 50_000))
        case "suspend": suspend(number(0, 500_000), number(1, 1), number(2, 1))
        default:
            print(
                "SchedulerSimulation week [recipients [destinations [seed]]] | memory [messages [hosts]] | "
                    + "suspend [messages [hosts [suspensions]]]")
            exit(64)
        }
    }

    private static func week(_ recipients: Int, _ destinations: Int, _ seed: UInt64) -> Int32 {
        let before = resident()
        let begun = seconds()
        let world = SimulationWorld(
            SimulationPlan(
                seed: seed, recipients: recipients, destinations: destinations, arrivalTime: 4 * 86400, burst: 20000))
        var mostMessages = 0
        var mostResident = 0
        for _ in 0..<(7 * 24) {
            world.run(limit: 3600)
            mostMessages = max(mostMessages, world.core.messageCount)
            mostResident = max(mostResident, resident())
        }
        let left = world.core.messageCount
        world.run(limit: 3 * 86400)
        world.checkAll()
        let took = seconds() - begun
        let tally = world.tally
        print("recipients \(tally.recipients) messages \(tally.messages) destinations \(destinations) seed \(seed)")
        print(
            "jobs \(tally.jobs) events \(tally.events) agents \(tally.agents) deaths \(tally.deaths) kills \(tally.kills)"
        )
        print("reports \(tally.reports) delay-notices \(tally.delayNotices) sweeps \(tally.sweeps)")
        print("most-messages \(mostMessages) most-agents \(tally.mostAgents) left-after-a-week \(left)")
        for (outcome, count) in tally.outcomes.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            print("outcome \(outcome.rawValue) \(count)")
        }
        print("longest-wait \(tally.longestWait) s of \(tally.promptMessages) messages to hosts that are up")
        print("seconds \(Int(took)) events/s \(Int(Double(tally.events) / max(took, 0.001)))")
        print("resident MiB \((mostResident - before) >> 20) (the core and the world around it)")
        let total = tally.outcomes.values.reduce(0, +)
        var problems = tally.problems
        if total != tally.recipients { problems.append("\(tally.recipients) recipients, \(total) results") }
        if world.core.messageCount > 0 { problems.append("\(world.core.messageCount) messages left") }
        if tally.longestWait > 900 { problems.append("a message has waited \(tally.longestWait) s") }
        print("problems \(tally.problemCount + problems.count - tally.problems.count)")
        for problem in problems { print("problem \(problem)") }
        return problems.isEmpty ? 0 : 1
    }

    private static func memory(_ count: Int, _ hosts: Int) {
        let rules = ThreadRules(interval: 60, maximumJobs: 200, maximumThreadJobs: 10, reportTimes: [14400, 86400])
        let core = DeliveryScheduler(now: 1_800_000_000, seed: 1, rules: { _, _ in rules })
        let before = resident()
        let begun = seconds()
        for index in 0..<count {
            let id = SpoolID(rawValue: UInt64(1_800_000_000 - 4000) * 1000 << 22 | UInt64(index))
            let host = "mail\(index % hosts).some.domain.example"
            var recipient = LoadedRecipient(
                offset: 120, channel: "smtp", host: host,
                address: "recipient.\(index)@some.domain\(index % hosts).example")
            recipient.attempts = 4
            recipient.lastAttempt = 1_800_000_000 - 100
            recipient.status = "4.4.1"
            recipient.problem = "connection to \(host) [192.0.2.1]:25 was refused: Connection refused"
            core.load(
                LoadedMessage(
                    id: id, arrived: id.unixTime, size: 4096, sender: "bounces+\(index)@lists.sender.example",
                    isErrorMessage: false, recipients: [recipient]))
        }
        _ = core.takeActions()
        let took = seconds() - begun
        let octets = resident() - before
        print(
            "messages \(count) hosts \(hosts) loaded in \(Int(took * 1000)) ms, \(octets / max(1, count)) octets each")
        print("resident MiB \(resident() >> 20)")
        // Keeps it until here.
        print("known \(core.messageCount)")
    }

    private static func suspend(_ count: Int, _ hosts: Int, _ suspensions: Int) {
        let rules = ThreadRules(maximumJobs: 200)
        let core = DeliveryScheduler(now: 1_800_000_000, seed: 1, rules: { _, _ in rules })
        core.isFrozen = true
        for index in 0..<count {
            let id = SpoolID(rawValue: UInt64(1_800_000_000 - 4000) * 1000 << 22 | UInt64(index))
            let host = "mail\(index % hosts).bulk.example"
            core.load(
                LoadedMessage(
                    id: id, arrived: id.unixTime, size: 4096, sender: "s@sender.example", isErrorMessage: false,
                    recipients: [
                        LoadedRecipient(offset: 120, channel: "smtp", host: host, address: "r\(index)@\(host)")
                    ]))
        }
        core.isFrozen = false
        let begun = processorTime()
        for number in 1..<suspensions { _ = core.suspend(Suspension(host: GlobPattern("no\(number).example"))) }
        _ = core.suspend(Suspension(host: GlobPattern("*.bulk.example")))
        var longest = processorTime() - begun
        var turns = 0
        repeat {
            let turn = processorTime()
            // As the loop does.
            core.sweep(2048 / (1 + core.suspensions.entries.count / 8))
            _ = core.takeActions()
            longest = max(longest, processorTime() - turn)
            turns += 1
        } while core.isSweeping || core.isBehind
        let held = core.threads.values.reduce(0) { $0 + $1.held }
        print("messages \(count) hosts \(hosts) suspensions \(suspensions) put aside \(held)")
        print("turns \(turns) longest \(Int(longest * 1000)) ms all \(Int((processorTime() - begun) * 1000)) ms")
    }

    /// Of this thread: what others do on the machine does not count.
    private static func processorTime() -> Double { seconds(CLOCK_THREAD_CPUTIME_ID) }

    private static func seconds(_ clock: clockid_t = CLOCK_MONOTONIC) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Octets of this process in memory.
    private static func resident() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, 256, file) != nil else { return 0 }
        let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            .split(separator: " ")
        return words.count > 1 ? (Int(words[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }
}
