/// What can be a password.
public enum Password {
    /// In octets; NUL is none of them.
    public static let lengths = 1...1024
}
