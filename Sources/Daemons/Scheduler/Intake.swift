import DequeModule
import Postoffice
import SpoolFormat

/// Names of control files on their way into the queue: announced ones before those found by a scan, oldest first.
struct Intake {
    private var announcedIDs: Deque<SpoolID> = []
    private var listedIDs: ArraySlice<SpoolID> = []
    private var reading: Set<SpoolID> = []
    /// A scan has ended.
    private(set) var hasListed = false

    /// Control files being read at a time.
    static let maximumReading = 1024

    var isBusy: Bool { !announcedIDs.isEmpty || !listedIDs.isEmpty || !reading.isEmpty }

    /// All of them, in no order.
    var ids: [SpoolID] { Array(announcedIDs) + listedIDs + reading }

    mutating func announced(_ ids: [SpoolID]) { announcedIDs += ids }

    mutating func listed(_ ids: [SpoolID]) {
        hasListed = true
        // A scan that comes before the last one is through has all that is left of it.
        listedIDs = ids[...]
    }

    /// The next to be read, and whether it was announced; `nil`: none, or enough are being read.
    mutating func next(isKnown: (SpoolID) -> Bool) -> (id: SpoolID, isUrgent: Bool)? {
        while reading.count < Self.maximumReading {
            let announced = announcedIDs.popFirst()
            guard let id = announced ?? listedIDs.popFirst() else { return nil }
            if !isKnown(id), reading.insert(id).inserted { return (id, announced != nil) }
        }
        return nil
    }

    /// It has been read. `false`: not on its way in, but read again.
    mutating func ended(_ id: SpoolID) -> Bool { reading.remove(id) != nil }
}

/// A look through the spool, on a thread of its own.
enum SpoolScan {
    /// `includingOrphans`: also message files without a control file, as a power cut leaves them (docs/spool.md §4): the router does them again.
    static func run(_ postoffice: Postoffice, includingOrphans: Bool) -> [FileResult] {
        do throws(PostofficeError) {
            // The queue first: what is routed meanwhile has its control file by the time transport/ is read.
            let queued = includingOrphans ? try postoffice.entries(.queue) : []
            var controls: [SpoolID] = []
            var requests: [String] = []
            try postoffice.forEachEntry(.transport) { name in
                if let id = SpoolID(name) {
                    controls.append(id)
                } else if ETRNFiles.isName(name), requests.count < ETRNFiles.maximumFiles {
                    requests.append(name)
                }
                return true
            }
            controls.sort()
            if includingOrphans {
                var rest = controls[...]
                var orphans: [SpoolID] = []
                for id in queued {
                    while let first = rest.first, first < id { rest = rest.dropFirst() }
                    if rest.first != id { orphans.append(id) }
                }
                // Reading a control file that is not there decides what is to be done.
                controls += orphans
            }
            // Mail that the listing brings is there before what asks for it.
            let etrns = ETRNFiles.take(requests, of: postoffice)
            return [.listing(controls)] + (etrns.isEmpty ? [] : [.etrns(etrns)])
        } catch {
            return [.listingFailed(error.description)]
        }
    }
}
