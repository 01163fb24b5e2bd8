import Policy
import Testing

/// One check and what must come of it.
struct SPFRow: Sendable, CustomTestStringConvertible {
    let name: String
    let client: String
    let sender: String
    let level: SPFResult.Level
    var helo = "mail.example.net"
    /// `nil`: our own, or none.
    var explanation: String?
    var rounds: Int?
    var mechanism: String?
    var problem: String?

    init(
        _ name: String, _ client: String, _ sender: String, _ level: SPFResult.Level,
        helo: String = "mail.example.net", explanation: String? = nil, rounds: Int? = nil, mechanism: String? = nil,
        problem: String? = nil
    ) {
        self.name = name
        self.client = client
        self.sender = sender
        self.level = level
        self.helo = helo
        self.explanation = explanation
        self.rounds = rounds
        self.mechanism = mechanism
        self.problem = problem
    }

    var testDescription: String { name }

    /// Runs it in all ways of feeding facts; they must agree.
    func check(_ zone: SPFZone, settings: SPFSettings = SPFSettings()) {
        var checked = SPFCase(client: client, sender: sender, helo: helo, settings: settings)
        checked.wantsSteps = true
        let run = checked.run(zone)
        let result = run.result
        for feeding in SPFCase.Feeding.allCases {
            #expect(checked.run(zone, feeding).result == result, "\(feeding)")
        }
        #expect(result.level == level, "\(result.problem)\n\(result.steps.map(\.debugLine))")
        #expect((result.explainer == nil ? nil : result.explanation) == explanation)
        #expect(result.explanation.isEmpty == (level != .fail))
        let isError = result.level == .tempError || result.level == .permError || result.level == .none
        #expect(result.problem.isEmpty == !isError)
        if let rounds { #expect(run.rounds.count == rounds, "\(run.rounds)") }
        if let mechanism { #expect(result.mechanism == mechanism) }
        if let problem { #expect(result.problem.contains(problem), "\(result.problem)") }
        checkTexts(result)
    }

    /// Nothing that a stranger said can get out of its place.
    private func checkTexts(_ result: SPFResult) {
        let field = result.receivedSPF
        #expect(field.hasPrefix("Received-SPF: \(result.level.rawValue) ("))
        #expect(field.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control })
        #expect(field.split(separator: " ").allSatisfy { $0.utf8.count <= 900 })
        for line in result.replyLines + [result.explanation] {
            #expect(line.utf8.count <= 1000 && line.utf8.allSatisfy { (0x20...0x7e).contains($0) })
        }
    }
}
