import Foundation
import Testing

/// A condition did not hold in time, or a peer did not do what was asked.
struct HarnessError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Waits until `condition` holds, looking every few milliseconds; fails with `what` and the instance's `details` after
/// `deadline`.
func waitUntil(
    _ what: String, deadline: Duration = .seconds(30), details: () -> String = { "" },
    _ condition: () throws -> Bool
) async throws {
    let clock = ContinuousClock()
    let end = clock.now + deadline
    var pause = Duration.milliseconds(1)
    while try !condition() {
        guard clock.now < end else { throw HarnessError("not within \(deadline): \(what)\n\(details())") }
        try await Task.sleep(for: pause)
        pause = min(pause * 2, .milliseconds(20))
    }
}
