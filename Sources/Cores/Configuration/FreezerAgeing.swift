/// What becomes of mail that stays in the freezer: `FREEZERMAXAGE` and `FREEZERAGED` of zmailer.conf.
public struct FreezerAgeing: Hashable, Sendable {
    public enum Action: String, CaseIterable, Hashable, Sendable {
        /// Its sender is told; what has none is dropped.
        case bounce
        /// Removed; nobody is told but the log.
        case drop
        /// Goes its way.
        case release
    }

    /// Seconds since it was frozen, from 1 to ten years.
    public let maximumAge: Int64
    public let action: Action

    public init(maximumAge: Int64, action: Action = .drop) {
        self.maximumAge = maximumAge
        self.action = action
    }

    /// Its keys; `nil`: mail stays until a person takes it out.
    public static func read(_ environment: ZEnvironment) throws(ConfigurationErrors) -> FreezerAgeing? {
        var errors: [ConfigurationError] = []
        func fail(_ key: String, _ reason: String) {
            errors.append(
                ConfigurationError(file: environment["ZCONFIG"] ?? "", line: 0, key: key, reason: reason))
        }
        let age = environment["FREEZERMAXAGE"] ?? ""
        let aged = environment["FREEZERAGED"] ?? ""
        let valid = Action.allCases.map(\.rawValue).joined(separator: ", ")
        let action = Action(rawValue: aged.lowercased())
        let seconds = SchedulerTime.parse(age).map(\.components.seconds) ?? 0
        if !age.isEmpty, seconds < 1 {
            fail("FREEZERMAXAGE", "'\(age)' is no time; valid are 30d, 12h, 1w2d, up to ten years")
        }
        if !aged.isEmpty {
            if action == nil {
                fail("FREEZERAGED", "'\(aged)' is not known; valid are \(valid)")
            } else if age.isEmpty {
                fail("FREEZERAGED", "without FREEZERMAXAGE nothing is ever too old; set FREEZERMAXAGE=30d, for example")
            }
        }
        guard errors.isEmpty else { throw ConfigurationErrors(errors) }
        return age.isEmpty ? nil : FreezerAgeing(maximumAge: seconds, action: action ?? .drop)
    }
}
