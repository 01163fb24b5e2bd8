import Policy

/// Somebody who asks: how it wants to be answered, and the sessions that it has told of. Made by ``PolicyEngine/asker(_:)``.
public final class PolicyAsker {
    public var settings: AskerSettings
    /// Questions that are not answered yet.
    public internal(set) var waiting = 0
    var sessions = AskerSessions()
    /// No answer is wanted any more.
    var isGone = false

    init(_ settings: AskerSettings) { self.settings = settings }
}
