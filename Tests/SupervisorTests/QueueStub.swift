import Glibc
import Synchronization

/// A scheduler's queue socket that knows messages, and holds, releases and removes them; a test says what goes wrong.
final class QueueStub: Sendable {
    struct State {
        var ids: [String]
        var held: Set<String>
        /// `hold` and so on: done, and not written to the disk.
        var unwritten: Set<String> = []
        /// The requests, counted from 1, that are refused.
        var refused: Set<String> = []
        /// `hold 1`, `select 1`, …
        var requests: [String] = []

        mutating func answer(_ question: String) -> String {
            let fields = question.split(separator: "\t").map(String.init)
            let named = fields.filter { $0.hasPrefix("id=") }.map { String($0.dropFirst(3)) }
            let verb = fields.first == "operate" ? fields[1] : fields.first ?? ""
            let number = requests.count { $0.hasPrefix("\(verb) ") } + 1
            requests.append("\(verb) \(number)")
            guard !refused.contains("\(verb) \(number)") else { return "{\"error\":\"not now\"}\n" }
            let known = Set(ids)
            let meant = named.isEmpty ? ids : named.filter(known.contains)
            switch verb {
            case "select":
                return meant.map { id in
                    let reason = held.contains(id) ? "\"held by alice\"" : "null"
                    return "{\"id\":\"\(id)\",\"recipients\":[{\"state\":\"waiting\",\"reason\":\(reason)}]}\n"
                }.joined()
            case "hold": held.formUnion(meant)
            case "release": held.subtract(meant)
            case "remove":
                let gone = Set(meant)
                ids.removeAll(where: gone.contains)
                held.subtract(gone)
            default: return "{\"error\":\"\(verb)\"}\n"
            }
            let problem = unwritten.contains(verb) ? ",\"not_stored\":\"No space left on device\"" : ""
            return "{\"operation\":\"\(verb)\",\"messages\":\(meant.count)\(problem)}\n"
        }
    }

    private let state: Mutex<State>
    private let listener: Int32

    /// `root`: POSTOFFICE.
    init?(_ root: String, _ ids: [String], held: Set<String> = []) {
        state = Mutex(State(ids: ids, held: held))
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: "\(root)/.scheduler.mailq".utf8) }
        let listener = listener
        let isBound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        guard isBound, listen(listener, 16) == 0 else { return nil }
        var thread: pthread_t = 0
        let context = Unmanaged.passRetained(self).toOpaque()
        let code = pthread_create(
            &thread, nil,
            { raw in
                guard let raw else { return nil }
                Unmanaged<QueueStub>.fromOpaque(raw).takeRetainedValue().serve()
                return nil
            }, context)
        guard code == 0 else { return nil }
        pthread_detach(thread)
    }

    /// Ends the thread.
    func close() { shutdown(listener, Int32(SHUT_RDWR)) }

    func read<Value>(_ body: (State) -> Value) -> Value { state.withLock { body($0) } }
    func change(_ body: (inout State) -> Void) { state.withLock { body(&$0) } }

    private func serve() {
        signal(SIGPIPE, SIG_IGN)
        while true {
            let peer = accept(listener, nil, nil)
            guard peer >= 0 else { break }
            var question: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65536)
            while question.last != 0x0a {
                let count = recv(peer, &buffer, buffer.count, 0)
                guard count > 0 else { break }
                question += buffer[..<count]
            }
            var answer = Array(
                state.withLock { $0.answer(String(decoding: question.dropLast(), as: UTF8.self)) }.utf8)[...]
            while !answer.isEmpty {
                let count = answer.withUnsafeBytes { send(peer, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                guard count > 0 else { break }
                answer = answer.dropFirst(count)
            }
            Glibc.close(peer)
        }
        Glibc.close(listener)
    }
}
