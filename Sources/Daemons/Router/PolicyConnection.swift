import MailModel
import Policy
import PolicyEngine

/// One asker: its settings and sessions, its unfinished line and unwritten answers.
final class PolicyConnection {
    /// Octets of one question: more than a command line of 8192 (VRFY), a state and all else together, so that no client can make an
    /// asker lose its connection, with the sessions of all others.
    static let maximumLineLength = 32_768
    /// Questions of one asker that wait for facts; it is not read from while there are more.
    static let waitingLimit = 4000

    enum Flow {
        case reading
        /// Answers wait for the asker to take them.
        case blocked
        /// Too many of its questions wait.
        case paused
    }

    var flow = Flow.reading
    /// Called when ``output`` is no longer empty.
    var onAnswer: () -> Void = {}
    private(set) var output: [UInt8] = []
    private let engine: PolicyEngine
    private let asker: PolicyAsker
    private var partial: [UInt8] = []
    private var isFirst = true

    init(_ engine: PolicyEngine) {
        self.engine = engine
        asker = engine.asker()
    }

    var mayAsk: Bool { asker.waiting < Self.waitingLimit }

    /// Asks the questions in `octets`; their answers come to ``output``, now or later. The result is why the asker must go.
    func take(_ octets: ArraySlice<UInt8>) -> String? {
        var rest = octets
        if !partial.isEmpty {
            partial.append(contentsOf: octets)
            rest = partial[...]
            partial = []
        }
        while let end = Octets.index(of: 0x0a, in: rest) {
            if let problem = take(line: rest[rest.startIndex..<end]) { return problem }
            rest = rest[(end + 1)...]
        }
        guard rest.count <= Self.maximumLineLength else { return "a question without end" }
        partial = Array(rest)
        return nil
    }

    private func take(line: ArraySlice<UInt8>) -> String? {
        let wasFirst = isFirst
        isFirst = false
        if wasFirst, Octets.hasPrefix(line, "settings") {
            guard line.count <= Self.maximumLineLength, let settings = AskerSettings(line: Octets.text(line)) else {
                return "no settings: \(Octets.text(line.prefix(100)))"
            }
            asker.settings = settings
            engine.prepare(settings)
            return nil
        }
        guard line.count <= Self.maximumLineLength, let question = PolicyQuestion(octets: line) else {
            return "no question: \(Octets.text(line.prefix(100)))"
        }
        engine.ask(question, from: asker) { [unowned self] answer in add(answer) }
        return nil
    }

    private func add(_ answer: PolicyAnswer) {
        // Number 0: it was told and not asked.
        guard answer.number != 0 else { return }
        let wasEmpty = output.isEmpty
        answer.encode(into: &output)
        output.append(0x0a)
        if wasEmpty { onAnswer() }
    }

    func written(_ count: Int) {
        if count == output.count {
            output.removeAll(keepingCapacity: output.capacity <= 1 << 18)
        } else {
            output.removeFirst(count)
        }
    }

    /// Its sessions are over, and what waits is forgotten.
    func end() { engine.forget(asker) }
}
