import Glibc
import Policy

/// Asks the running policy service, one question after the other (docs/protocols.md §2).
final class PolicyServiceClient {
    enum Failure: Error, CustomStringConvertible {
        /// No service listens there.
        case absent(String)
        case forbidden(String)
        case broken(String)

        var description: String {
            switch self {
            case .absent(let reason): "no policy service runs (\(reason))"
            case .forbidden(let path):
                "\(path): only root and the mail system's own user may ask the running service; "
                    + "--offline evaluates without it"
            case .broken(let reason): "the policy service does not answer: \(reason)"
            }
        }
    }

    /// Seconds; a question takes at most 25.
    private static let patience: Int32 = 30

    private let path: String
    private let stream: UnixStream
    private var lines = LineSplitter()
    private var isHeard = false

    init(_ path: String, _ settings: AskerSettings) throws(Failure) {
        self.path = path
        do throws(UnixStream.Failure) {
            stream = try UnixStream(connectingTo: path, seconds: 10)
            try stream.send(settings.line + "\n")
        } catch {
            switch error.code {
            case ENOENT, ECONNREFUSED, ENOTDIR: throw .absent(error.description)
            case EACCES, EPERM, EPIPE, ECONNRESET: throw .forbidden(path)
            case _: throw .broken(error.description)
            }
        }
    }

    func ask(_ question: PolicyQuestion) throws(Failure) -> PolicyAnswer {
        try send(question.line + "\n")
        while true {
            let octets = try receive()
            // It hangs up on strangers before their first question.
            guard !octets.isEmpty else { throw isHeard ? .broken("connection closed") : .forbidden(path) }
            for line in lines.feed(octets) {
                guard let answer = PolicyAnswer(octets: line[...]) else {
                    let text = String(decoding: line.prefix(200), as: UTF8.self)
                    throw .broken("its answer cannot be read: \(QueueListing.printable(text))")
                }
                isHeard = true
                if answer.number == question.number { return answer }
            }
        }
    }

    private func send(_ text: String) throws(Failure) {
        do throws(UnixStream.Failure) { try stream.send(text) } catch { throw failure(error) }
    }

    private func receive() throws(Failure) -> [UInt8] {
        do throws(UnixStream.Failure) {
            return try stream.receive(seconds: Self.patience)
        } catch {
            throw failure(error)
        }
    }

    private func failure(_ error: UnixStream.Failure) -> Failure {
        switch error.code {
        case EPIPE, ECONNRESET: isHeard ? .broken(error.description) : .forbidden(path)
        case _: .broken(error.description)
        }
    }
}
