import SpoolFormat

/// A recipient of a queued message. There may be millions: what many have in common they share, and a field is no larger than it must be.
struct QueuedRecipient {
    enum State: UInt8 {
        case open
        /// Handed to an agent.
        case awaiting
        case delivered
        case failed
        /// Taken out by an operator.
        case removed
    }

    /// The last thing that was said about it. Those of one host mostly say the same.
    final class Result: Sendable {
        static let none = Result(status: "", problem: "")
        let status: String
        let problem: String

        init(status: String, problem: String) {
            self.status = status
            self.problem = problem
        }
    }

    let offset: UInt32
    let headerOffset: Int32
    let notaryOffset: Int32
    /// When its sender was last told that it is late, seconds since 1970; 0: never.
    var toldAt: UInt32
    let notify: Notify
    var state: State
    let hasErrorAddress: Bool
    /// What is still to be done when the message's deliver-by-time comes.
    var deadline: LoadedRecipient.Deadline
    /// A local part of up to 15 octets needs no storage of its own, and its domain is shared.
    private let localPart: String
    private let domain: String
    let original: String?
    var last: Result

    init(_ loaded: LoadedRecipient, state: State, thread: DeliveryThread, strings: inout StringCache) {
        offset = UInt32(clamping: loaded.offset)
        headerOffset = Int32(clamping: loaded.headerOffset)
        notaryOffset = Int32(clamping: loaded.notaryOffset)
        toldAt = UInt32(clamping: loaded.toldAt)
        notify = loaded.notify
        self.state = state
        hasErrorAddress = loaded.hasErrorAddress
        deadline = loaded.deadline
        if let at = loaded.address.utf8.lastIndex(of: UInt8(ascii: "@")),
            loaded.address.utf8.index(after: at) < loaded.address.endIndex
        {
            localPart = String(loaded.address[..<at])
            let own = loaded.address[loaded.address.utf8.index(after: at)...]
            if own != thread.domain { thread.domain = strings.shared(String(own)) }
            domain = thread.domain
        } else {
            localPart = loaded.address
            domain = ""
        }
        original = loaded.original
        last = strings.result(status: loaded.status, problem: loaded.problem, like: thread)
    }

    var address: String { domain.isEmpty ? localPart : "\(localPart)@\(domain)" }

    var status: String {
        get { last.status }
        set { last = Result(status: newValue, problem: last.problem) }
    }

    var problem: String {
        get { last.problem }
        set { last = Result(status: last.status, problem: newValue) }
    }

    var isDone: Bool {
        switch state {
        case .open, .awaiting: false
        case .delivered, .failed, .removed: true
        }
    }
}

/// The recipients of a vertex; the first one, which is mostly the only one, stands in the vertex itself.
struct RecipientList: RandomAccessCollection, MutableCollection {
    private var head: QueuedRecipient?
    private var tail: [QueuedRecipient] = []

    var startIndex: Int { 0 }
    var endIndex: Int { head == nil ? 0 : 1 + tail.count }

    subscript(index: Int) -> QueuedRecipient {
        get {
            guard index == 0, let head else { return tail[index - 1] }
            return head
        }
        _modify {
            if index == 0, var only = head {
                // In its place there is nothing to copy, and nothing counts its references twice.
                head = nil
                defer { head = only }
                yield &only
            } else {
                yield &tail[index - 1]
            }
        }
    }

    mutating func append(_ recipient: QueuedRecipient) {
        if head == nil { head = recipient } else { tail.append(recipient) }
    }
}

/// The vertices of a message; one alone needs no array.
struct VertexList: RandomAccessCollection {
    private enum Storage {
        case none
        case one(Vertex)
        case many([Vertex])
    }
    private var storage = Storage.none

    var startIndex: Int { 0 }
    var endIndex: Int {
        switch storage {
        case .none: 0
        case .one: 1
        case .many(let vertices): vertices.count
        }
    }

    subscript(index: Int) -> Vertex {
        switch storage {
        case .one(let vertex):
            precondition(index == 0, "there is one")
            return vertex
        case .many(let vertices): return vertices[index]
        case .none: preconditionFailure("there is none")
        }
    }

    mutating func append(_ vertex: Vertex) {
        switch storage {
        case .none: storage = .one(vertex)
        case .one(let first): storage = .many([first, vertex])
        case .many(var vertices):
            storage = .none
            vertices.append(vertex)
            storage = .many(vertices)
        }
    }
}
