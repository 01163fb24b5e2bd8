/// How often the queue is checked and how long leftovers stay: `QUEUECHECK`, `PUBLICMAXAGE`, `POSTMANMAXAGE` of zmailer.conf.
public struct HouseKeeping: Hashable, Sendable {
    /// Seconds between two checks of the queue by the scheduler; `nil`: never.
    public var checkInterval: Int64? = 3600
    /// Seconds that a file of `public/` may stay unchanged; from an hour, which is longer than any content filter gets.
    public var publicAge: Int64 = 86_400
    /// Seconds after which files of `postman/` are removed; `nil`: never. They are for people.
    public var postmanAge: Int64?

    public init() {}

    public static func read(_ environment: ZEnvironment) throws(ConfigurationErrors) -> HouseKeeping {
        var result = HouseKeeping()
        var errors: [ConfigurationError] = []
        func time(_ key: String, from least: Int64, _ example: String) -> Int64? {
            guard let text = environment[key], !text.isEmpty else { return nil }
            if let seconds = SchedulerTime.parse(text)?.components.seconds, seconds >= least { return seconds }
            errors.append(
                ConfigurationError(
                    file: environment["ZCONFIG"] ?? "", line: 0, key: key,
                    reason:
                        "'\(text)' is no time from \(SchedulerTime.text(least)); valid is \(example), up to ten years"))
            return nil
        }
        if environment["QUEUECHECK"]?.lowercased() == "never" {
            result.checkInterval = nil
        } else if let interval = time("QUEUECHECK", from: 10, "1h, and never") {
            result.checkInterval = interval
        }
        if let age = time("PUBLICMAXAGE", from: 3600, "1d") { result.publicAge = age }
        if environment["POSTMANMAXAGE"]?.lowercased() != "never" {
            result.postmanAge = time("POSTMANMAXAGE", from: 86_400, "90d, and never")
        }
        guard errors.isEmpty else { throw ConfigurationErrors(errors) }
        return result
    }
}
