/// Delays in front of refusals that grow with each one (`PARAM tarpit initial exponent toplimit`, smtpserver.md §5.5). One for
/// each session; whoever writes the replies waits.
public struct Tarpit: Hashable, Sendable {
    public struct Settings: Hashable, Sendable {
        /// Seconds.
        public let initial: Double
        /// By which part of itself a delay grows.
        public let exponent: Double
        /// Seconds that no later delay exceeds.
        public let topLimit: Double

        /// No delays.
        public static let none = Settings(checkedInitial: 0, exponent: 0, topLimit: 0)
        /// Of each number: a delay of a day is longer than anybody waits.
        public static let range: ClosedRange<Double> = 0...86_400

        /// `nil`: a number is not in ``range``, or none at all.
        public init?(initial: Double, exponent: Double, topLimit: Double) {
            guard [initial, exponent, topLimit].allSatisfy(Self.range.contains) else { return nil }
            self.init(checkedInitial: initial, exponent: exponent, topLimit: topLimit)
        }

        private init(checkedInitial initial: Double, exponent: Double, topLimit: Double) {
            self.initial = initial
            self.exponent = exponent
            self.topLimit = topLimit
        }
    }

    private let settings: Settings
    /// Seconds, of the next refusal.
    public private(set) var delay: Double

    public init(_ settings: Settings) {
        self.settings = settings
        delay = settings.initial
    }

    /// A refusal (4xx or 5xx) is due: what to wait before it, in whole seconds; `nil`: nothing. The next one waits longer.
    ///
    /// The first delay is `initial`, whatever the limit is, and a delay below a second is none, but grows: as ZMailer does.
    public mutating func refused() -> Duration? {
        let now = delay
        delay = min(delay + delay * settings.exponent, settings.topLimit)
        return now >= 1 ? .seconds(Int64(now.rounded(.toNearestOrAwayFromZero))) : nil
    }
}
