import Foundation
import Testing

/// The instances that the rows are played against: one a configuration, started when the first row needs it, ended when the
/// suite is over.
actor ConformanceServers {
    @TaskLocal static var current: ConformanceServers?

    /// What a row's playing has to know.
    struct Running: Sendable {
        let port: UInt16
        let store: ConformanceStore
    }

    private enum State {
        case starting([CheckedContinuation<Running, any Error>])
        case running(Running)
        case failed(any Error)
    }

    private var states: [ConformanceServer: State] = [:]
    private var lives: [Task<Void, any Error>] = []
    private var ends: [CheckedContinuation<Void, Never>] = []
    private var isOver = false
    private var played = 0

    /// Rows that are played at the same time.
    private static let maximumPlaying = 8
    private var playing = 0
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func server(_ kind: ConformanceServer) async throws -> Running {
        switch states[kind] {
        case .running(let running): return running
        case .failed(let error): throw error
        case .starting, nil: break
        }
        return try await withCheckedThrowingContinuation { continuation in
            if case .starting(let others)? = states[kind] {
                states[kind] = .starting(others + [continuation])
            } else {
                states[kind] = .starting([continuation])
                lives.append(Task { try await Self.live(kind, in: self) })
            }
        }
    }

    private static func live(_ kind: ConformanceServer, in servers: ConformanceServers) async throws {
        do {
            let sink = try Sink(
                keywords: ["PIPELINING", "8BITMIME", "SIZE 0", "CHUNKING", "DSN", "SMTPUTF8", "ENHANCEDSTATUSCODES"])
            defer { sink.stop() }
            try await InstanceSlots.runWithout {
                try await Instance.run { settings in
                    kind.configure(&settings, sinkPort: sink.port)
                } _: { instance in
                    let store = ConformanceStore(instance: instance.directory, sink: sink)
                    await servers.started(kind, .success(Running(port: instance.port, store: store)))
                    await servers.waitForEnd()
                }
            }
        } catch {
            await servers.started(kind, .failure(error))
            throw error
        }
    }

    private func started(_ kind: ConformanceServer, _ result: Result<Running, any Error>) {
        guard case .starting(let continuations)? = states[kind] else { return }
        switch result {
        case .success(let running): states[kind] = .running(running)
        case .failure(let error): states[kind] = .failed(error)
        }
        for continuation in continuations { continuation.resume(with: result) }
    }

    private func waitForEnd() async {
        guard !isOver else { return }
        await withCheckedContinuation { ends.append($0) }
    }

    /// Stops all instances; throws what they had to complain about.
    func stop() async throws {
        isOver = true
        for end in ends { end.resume() }
        ends = []
        for life in lives { try await life.value }
    }

    // MARK: one row

    /// Plays it, in each of its deliveries, on a thread that may block; returns what was wrong.
    func play(_ row: ConformanceRow) async throws -> [String] {
        let running = try await server(row.server)
        await enter()
        defer { leave() }
        var faults: [String] = []
        for delivery in row.isSplit ? ConformancePlayer.Delivery.allCases : [.whole] {
            played += 1
            let id = "row\(played)x\(UInt32.random(in: 0...UInt32.max))"
            let found = await withCheckedContinuation { (continuation: CheckedContinuation<[String], Never>) in
                DispatchQueue.global().async {
                    do {
                        var player = try ConformancePlayer(row, delivery, id: id, port: running.port)
                        continuation.resume(returning: player.play())
                    } catch {
                        continuation.resume(returning: ["\(error)"])
                    }
                }
            }
            faults += found
            if found.isEmpty { faults += try await running.store.faults(of: row.claims, id: id) }
        }
        return faults
    }

    private func enter() async {
        if playing < Self.maximumPlaying {
            playing += 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    private func leave() {
        if waiting.isEmpty { playing -= 1 } else { waiting.removeFirst().resume() }
    }
}

/// Runs a suite with servers of its own.
struct ConformanceServersTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let servers = ConformanceServers()
        try await ConformanceServers.$current.withValue(servers) { try await function() }
        try await servers.stop()
    }
}

extension Trait where Self == ConformanceServersTrait {
    static var conformanceServers: Self { Self() }
}
