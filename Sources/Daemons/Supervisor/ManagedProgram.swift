import Configuration

/// The daemons of an instance, in the order of their start: smtpserver last, so that whoever is greeted finds the policy
/// service.
public enum ManagedProgram: String, CaseIterable, Sendable {
    case router
    case scheduler
    case smtpserver

    public func path(_ environment: ZEnvironment) -> String { "\(environment.mailbin)/\(rawValue)" }

    /// Stay in the foreground, and take over from one that an earlier supervisor has left: smtpserver and scheduler do so
    /// by themselves, router when it is told (router(8), -k). With `logsToFile` it opens its log itself, and again when it
    /// is rotated.
    func arguments(_ environment: ZEnvironment, logsToFile: Bool) -> [String] {
        (self == .router ? ["-k"] : []) + ["--foreground"] + (logsToFile ? ["--log", logFile(environment)] : [])
            + ["-Z", environment["ZCONFIG"] ?? ""] + options(environment)
    }

    /// `SMTPOPTIONS`, `ROUTEROPTIONS` and `SCHEDULEROPTIONS` of zmailer.conf, cut at blanks.
    private func options(_ environment: ZEnvironment) -> [String] {
        let name =
            switch self {
            case .router: "ROUTEROPTIONS"
            case .scheduler: "SCHEDULEROPTIONS"
            case .smtpserver: "SMTPOPTIONS"
            }
        return (environment[name] ?? "").split { $0 == " " || $0 == "\t" }.map(String.init)
    }

    func logFile(_ environment: ZEnvironment) -> String { "\(environment.logdir)/\(rawValue)" }

    /// Locked by the running program (docs/spool.md).
    public func pidFile(_ environment: ZEnvironment) -> String { "\(environment.postoffice)/.pid.\(rawValue)" }

    /// Stream sockets that answer when the program is ready (docs/protocols.md §2, §5).
    func controlSockets(_ environment: ZEnvironment) -> [String] {
        switch self {
        case .router: ["\(environment.postoffice)/.policy"]
        case .scheduler: ["\(environment.postoffice)/.scheduler.mailq"]
        case .smtpserver: []
        }
    }

    /// Whether it is ready only when it listens on a TCP port.
    var listensOnNetwork: Bool { self == .smtpserver }
}

/// Exit codes after which a restart would only repeat the mistake: it was told something that it cannot do.
func isConfigurationMistake(_ code: Int32) -> Bool { code == 64 || code == 78 }
