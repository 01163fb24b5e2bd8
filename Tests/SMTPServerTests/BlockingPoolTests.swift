import Glibc
import Synchronization
import Testing

@testable import SMTPServer

@Suite struct BlockingPoolTests {
    @Test("every job is done once, however many come together")
    func allDone() throws {
        let pool = BlockingPool(threads: 4)
        let done = Counter()
        for _ in 0..<20_000 { pool.submit { done.increment() } }
        try eventually("all jobs") { done.value == 20_000 }
        pool.stop()
    }

    @Test("as many jobs block at the same time as there are threads")
    func parallel() throws {
        let pool = BlockingPool(threads: 3)
        let running = Counter()
        let release = Counter()
        for _ in 0..<3 {
            pool.submit {
                running.increment()
                while release.value == 0 { usleep(1000) }
            }
        }
        try eventually("three at once") { running.value == 3 }
        release.increment()
        pool.stop()
    }

    final class Counter: Sendable {
        private let count = Atomic<Int>(0)
        var value: Int { count.load(ordering: .acquiring) }
        func increment() { count.add(1, ordering: .acquiringAndReleasing) }
    }
}
