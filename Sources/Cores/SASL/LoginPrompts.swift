/// What LOGIN asks for its two answers with. Clients hardly look at them.
public struct LoginPrompts: Hashable, Sendable {
    public var user: String
    public var password: String

    public init(user: String = "Username:", password: String = "Password:") {
        self.user = user
        self.password = password
    }
}
