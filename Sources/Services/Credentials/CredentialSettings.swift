/// Who knows the credentials of this instance's users.
public struct CredentialSettings: Hashable, Sendable {
    /// A ``CredentialTable``: decides about the users that are in it.
    public var table: String?
    /// A file of this process alone, made when it is missing, in a folder that must be there: without it SCRAM would tell who is in the
    /// table.
    public var saltKey: String?
    /// `PARAM SMTP-auth-pipe`: decides about everybody else. An absolute path.
    public var pipeProgram: String?
    /// Asked where there is no program; `nil`: nobody is.
    public var pamService: String? = "smtpauth-login"
    /// A folder of service files in the place of the system's; for tests.
    public var pamDirectory: String?
    /// Seconds for a verification. 1 to 300.
    public var deadline = 20
    /// `ZCONFIG` and `PATH` of the program.
    public var zconfig: String
    public var path: String

    public init(zconfig: String = "", path: String? = nil) {
        self.zconfig = zconfig
        self.path = path ?? "/usr/bin:/bin:/usr/ucb"
    }

    /// SCRAM needs keys of its own kind, which only a table has.
    public var offersSCRAM: Bool { table != nil && saltKey != nil }
}
