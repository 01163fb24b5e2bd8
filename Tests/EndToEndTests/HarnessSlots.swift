/// How many mail systems run at a time: with one for each test they would all be so slow that no test could tell "late" from "never".
actor InstanceSlots {
    private static let shared = InstanceSlots(count: 8)

    /// Set in a test that has a slot: what it starts further needs none, or tests with two instances could wait for each other.
    @TaskLocal private static var isHeld = false

    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(count: Int) { free = count }

    /// Runs `body` when there is a slot for it.
    static func run(_ body: () async throws -> Void) async throws {
        if isHeld { return try await body() }
        await shared.take()
        do {
            try await $isHeld.withValue(true) { try await body() }
        } catch {
            await shared.giveBack()
            throw error
        }
        await shared.giveBack()
    }

    /// For systems that many tests share and that live as long as those: with slots they would keep everything else waiting.
    static func runWithout(_ body: () async throws -> Void) async throws {
        try await $isHeld.withValue(true) { try await body() }
    }

    private func take() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    private func giveBack() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}
