import Configuration
import Glibc
import SpoolFormat

/// Where a message is in the spool just now (docs/spool.md), and what that means.
struct TracePlace: Hashable {
    let queueID: String
    /// Below POSTOFFICE.
    let name: String
    let meaning: String

    /// With the scheduler, who knows more.
    var isQueued: Bool { name.hasPrefix("queue/") || name.hasPrefix("transport/") }

    /// Everything of these messages that is in the spool.
    static func all(_ ids: [String], in postoffice: String) -> [TracePlace] {
        let kept = ProcFile.names(in: "\(postoffice)/postman")
        return ids.flatMap { id -> [TracePlace] in
            func exists(_ folder: String) -> Bool {
                var information = stat()
                return lstat("\(postoffice)/\(folder)/\(id)", &information) == 0
            }
            var places: [TracePlace] = []
            func add(_ name: String, _ meaning: String) {
                places.append(TracePlace(queueID: id, name: name, meaning: meaning))
            }
            let isQueued = exists("queue")
            // A name whose successor is in queue/ is about to be removed.
            if exists("router"), !isQueued { add("router/\(id)", "accepted, to be routed") }
            if exists("deferred") { add("deferred/\(id)", "routing was tried and is tried again") }
            if exists("freezer") {
                add("freezer/\(id)", "frozen\(cause(id, postoffice)); zmailer freezer release \(id) lets it go")
            }
            if isQueued {
                add(
                    "queue/\(id)",
                    exists("transport") ? "with the scheduler" : "without a control file: it is routed again")
            } else if exists("transport") {
                add("transport/\(id)", "a control file whose message file is gone: its removal is completed")
            }
            for name in kept.sorted() where name == id || name.hasPrefix("\(id):") || name.hasPrefix("\(id)_") {
                add("postman/\(name)", kind(of: name))
            }
            return places
        }
    }

    /// As its note says.
    private static func cause(_ id: String, _ postoffice: String) -> String {
        let octets = Array(ProcFile.read("\(postoffice)/freezer/\(id).reason").utf8)
        guard let note = FreezeNote(parsing: octets) else { return "" }
        return " (code \(note.code), \(note.source)): \(note.reason)"
    }

    private static func kind(of name: String) -> String {
        switch name.split(separator: ":").dropFirst().first {
        case "poison": "set aside: routing workers died of it twice"
        case "badenvelope": "set aside: no message file of ours"
        case "incomplete": "set aside: a part of a message that was never acknowledged"
        case "control", "missing": "set aside: its message file was gone"
        case "error-on-error": "a copy of a notification that could not be delivered"
        case let other?: "set aside: \(other)"
        case nil: "set aside for the postmaster"
        }
    }
}
