import Testing

@testable import Scheduler

@Suite("An agent that talks without end does not fill the log")
struct RemarkLimitTests {
    @Test("so many lines in a minute; the next minute has as many, and knows how many are missing")
    func minute() {
        var limit = RemarkLimit()
        func admitted(_ count: Int, at now: Int64) -> Int { (0..<count).count { _ in limit.admits(at: now) } }
        #expect(admitted(RemarkLimit.maximum, at: 5) == RemarkLimit.maximum)
        #expect(limit.takeLost() == 0)
        #expect(admitted(30, at: RemarkLimit.interval + 4) == 0)
        #expect(admitted(1, at: RemarkLimit.interval + 5) == 1)
        #expect(limit.takeLost() == 30)
        #expect(limit.takeLost() == 0)
        #expect(admitted(1000, at: RemarkLimit.interval + 6) == RemarkLimit.maximum - 1)
    }

    @Test("mail goes on meanwhile, and the log says how many lines it has not")
    func flood() throws {
        let scheduler = try makeScheduler()
        try scheduler.agent(
            "loud",
            """
                n=0
                while [ $n -lt 300 ]; do
                    echo "#remark $n"
                    echo "complaint $n" >&2
                    n=$((n + 1))
                done
                for o in $(offsets $id); do report $o ok delivered 2.0.0 "fine"; done
            """)
        try scheduler.startAndWait("*/*  interval=1h\nloud/*\n    command=\"loud -c $channel\"\n")
        let id = try scheduler.queue(["loud h a@h"])
        scheduler.notify([id])
        try scheduler.wait("delivery") { scheduler.isGone(id) }
        scheduler.stop()
        let lines = scheduler.log.split(separator: "\n")
        let told = lines.count { $0.contains(" agent-remark ") || $0.contains(" agent-output ") }
        #expect(told == RemarkLimit.maximum)
        let lost = lines.filter { $0.contains("warning agent-remarks-lost agent=loud:loud#1 lines=") }
        #expect(lost.compactMap { $0.split(separator: "=").last.flatMap { Int($0) } } == [600 - told])
    }
}
