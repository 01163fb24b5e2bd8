import MailModel
import Resolver

/// Names that a test gives addresses; every other does not exist.
struct SMTPAgentNames: NameService {
    /// Exchangers by preference, in this order; an empty list is a null MX.
    var exchangers: [String: [String]] = [:]
    var addresses: [String: String] = [:]
    var failing: Set<String> = []
    /// DNSSEC vouches for the exchangers.
    var isSecure = false

    func lookUp(_ questions: [Question]) -> [Lookup<[UInt8]>] {
        questions.map { question in
            if failing.contains(question.name) { return .temporaryFailure("SERVFAIL") }
            switch question.type {
            case .mx:
                guard let list = exchangers[question.name] else {
                    return addresses[question.name] == nil ? .nxDomain : .noData
                }
                let records = list.enumerated().map { [0, UInt8($0.offset * 10)] + Self.wire($0.element) }
                return .answer(Answer(records: records.isEmpty ? [[0, 0, 0]] : records, isSecure: isSecure))
            case .a:
                guard let address = addresses[question.name].flatMap({ IPAddress($0) }) else { return .nxDomain }
                return .answer(Answer(records: [address.octets]))
            case .aaaa, .cname, .ptr, .txt:
                return addresses[question.name] == nil ? .nxDomain : .noData
            }
        }
    }

    private static func wire(_ name: String) -> [UInt8] {
        name.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
    }
}
