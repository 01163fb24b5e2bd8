import SpoolFormat

/// Jobs that could not be done (a full disk, a read-only file system) and what came behind them for the same message, in order.
struct StuckJobs {
    private var jobs: [SpoolID: [FileJob]] = [:]

    var isEmpty: Bool { jobs.isEmpty }

    func holds(_ id: SpoolID) -> Bool { jobs[id] != nil }

    mutating func add(_ job: FileJob) { jobs[job.id, default: []].append(job) }

    /// All of them, each message's behind its resumption; nothing is stuck any more.
    mutating func takeAll() -> [FileJob] {
        defer { jobs = [:] }
        return jobs.sorted { $0.key < $1.key }.flatMap { [.resume($0.key)] + $0.value }
    }
}
