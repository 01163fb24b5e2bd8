import Glibc
import Synchronization
import Testing

/// What programs of users read. One test at a time has it.
enum StandardInput {
    private static let lock = Mutex(())

    /// - Parameter text: at most what a pipe holds.
    static func with<Result>(_ text: String, _ body: () throws -> Result) throws -> Result {
        try lock.withLock { _ in
            var input: [Int32] = [0, 0]
            try #require(pipe(&input) == 0)
            #expect(write(input[1], text, text.utf8.count) == text.utf8.count)
            close(input[1])
            let kept = dup(0)
            dup2(input[0], 0)
            close(input[0])
            defer {
                if kept >= 0 { dup2(kept, 0) }
                close(kept)
            }
            return try body()
        }
    }
}
