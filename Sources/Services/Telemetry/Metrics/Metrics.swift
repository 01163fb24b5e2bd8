/// The metrics of one program, in the order in which they are told.
public struct Metrics: Sendable {
    private let families: [any MetricFamily]

    public init(_ families: [any MetricFamily]) { self.families = families }

    /// Prometheus's text format, version 0.0.4.
    public var text: String {
        var writer = MetricWriter()
        for family in families { family.append(to: &writer) }
        return writer.text
    }
}
