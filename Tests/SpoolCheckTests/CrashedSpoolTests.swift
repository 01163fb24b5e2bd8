import Glibc
import Postoffice
import SpoolCheck
import SpoolFormat
import Testing

/// Messages that died at any step of their life (docs/spool.md §4).
@Suite("A spool after kills") struct CrashedSpoolTests {
    /// What a message still has to be, whatever happened.
    enum Owed: Equatable { case delivery, nothing }

    /// Splitmix64: the same spools each time.
    struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
    }

    /// Leads one message through its life and stops at `step`.
    private func live(_ spool: SpoolScratch, until step: Int, _ random: inout Random) throws -> (SpoolID, Owed) {
        let postoffice = spool.postoffice
        let recipients = Int.random(in: 1...3, using: &random)
        let id = try spool.submitted()
        var left = step
        func dies() -> Bool {
            left -= 1
            return left < 0
        }
        if dies() { return (id, .delivery) }
        if Bool.random(using: &random) {
            // Deferred and back, each way in two steps.
            try spool.link("router/\(id)", "deferred/\(id)")
            if dies() { return (id, .delivery) }
            unlink(spool.path("router/\(id)"))
            if dies() { return (id, .delivery) }
            try spool.link("deferred/\(id)", "router/\(id)")
            if dies() { return (id, .delivery) }
            unlink(spool.path("deferred/\(id)"))
            if dies() { return (id, .delivery) }
        }
        _ = try postoffice.claimForQueue(id)
        if dies() { return (id, .delivery) }
        var control = SpoolScratch.control(id, recipients: recipients)
        let head = control.encodeHead()
        if Int.random(in: 0..<3, using: &random) == 0 {
            // The power failed while it was on its way to the disk.
            try spool.write("transport/\(id)", Array(head.prefix(Int.random(in: 0..<head.count, using: &random))))
            if Bool.random(using: &random) { unlink(spool.path("router/\(id)")) }
            return (id, .delivery)
        }
        try postoffice.writeControl(id, head)
        if dies() { return (id, .delivery) }
        try postoffice.settle([id])
        if dies() { return (id, .delivery) }
        for index in 0..<recipients where recipients > 1 {
            let isLast = index == recipients - 1
            let action: Notary.Action = Bool.random(using: &random) ? .delivered : .failed
            let tag: ControlRecipient.Tag = action == .delivered ? .delivered : .failed
            try spool.append(id, index, action, tag: Bool.random(using: &random) ? tag : nil)
            if dies() { return (id, isLast ? .nothing : .delivery) }
        }
        for directory in [SpoolDirectory.router, .queue, .transport] {
            unlink(postoffice.path(directory, id))
            if dies() { return (id, .nothing) }
        }
        return (id, .nothing)
    }

    @Test("has no strays behind one check, and nothing that is owed is gone", arguments: 1...20)
    func recovery(seed: UInt64) throws {
        var random = Random(state: seed)
        let spool = try SpoolScratch()
        var owed: [(SpoolID, Owed)] = []
        for _ in 0..<30 {
            owed.append(try live(spool, until: Int.random(in: 0...14, using: &random), &random))
        }
        let (findings, summary) = try spool.check()
        #expect(summary.open == 0, "\(findings)")
        // A torn control file stays until the message has been routed again: it has its name in router/ now.
        #expect(try spool.check().findings == [])
        for (id, owed) in owed where owed == .delivery {
            let places = [SpoolDirectory.router, .queue, .deferred].filter {
                access(spool.postoffice.path($0, id), F_OK) == 0
            }
            #expect(!places.isEmpty, "\(id)")
            if places == [.queue] {
                // Then the scheduler delivers it.
                _ = try ControlFile.parse(try spool.postoffice.read(.transport, id, limit: 1 << 20))
            }
        }
    }
}
