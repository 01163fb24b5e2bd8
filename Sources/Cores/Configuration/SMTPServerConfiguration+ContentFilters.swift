import MailModel

extension SMTPServerConfiguration {
    /// What becomes of a message that a filter gives no valid result for (`contentfilter-failure`, ours).
    public enum FilterFailure: String, Hashable, Sendable, CaseIterable {
        /// Into the freezer with code 1, as the man page says.
        case freeze
        /// 451: the sender keeps it.
        case `defer`
        /// Taken unfiltered.
        case accept
    }

    /// How content filters are run; for the whole server (smtpserver(8), CONTENTFILTER INTERFACE).
    public struct ContentFiltering: Hashable, Sendable {
        /// `contentfilter-maxpar`: processes of each filter.
        public var maximumProcesses = 2
        /// `contentfilter-user` (ours): whose processes they are, where smtpserver is started by root; empty: the user that smtpserver
        /// runs as.
        public var user = ""
        public var failure = FilterFailure.freeze
        /// `contentfilter-timeout` (ours): seconds for one filter's verdict on a message, the wait for a free process included.
        public var answerTimeout = 120
        /// `contentfilter-start-timeout` (ours): seconds from a filter's start to its first `#hungry`.
        public var startTimeout = 10
        /// `debug-contentfilter`: why a message is not filtered, and all that is said, in the log.
        public var isTraced = false

        public init() {}
    }

    /// Filters that one message passes through.
    public static let maximumFilters = 8
    public static let maximumFilterProcesses = 20
    /// Octets of a socket's path (unix(7)), and the most that a filter's path may have.
    public static let maximumFilterPath = 107
}

extension SMTPServerConfigurationReader {
    /// `contentfilter PATH`, `contentfilter unix:PATH`: the first of a group stands for all that were there before it.
    mutating func setFilter(_ key: String, _ arguments: [String], _ number: Int) {
        let valid = "an absolute path of a program, or unix: and that of a socket"
        guard arguments.count == 1 else {
            fail(
                number, key,
                arguments.isEmpty ? "needs \(valid)" : "takes one value, \(valid); a filter has no arguments")
            return
        }
        let path = arguments[0].hasPrefix("unix:") ? arguments[0].dropFirst(5) : arguments[0][...]
        guard path.hasPrefix("/") else {
            fail(number, key, "'\(arguments[0])' is not \(valid)")
            return
        }
        guard path.utf8.count <= SMTPServerConfiguration.maximumFilterPath else {
            fail(number, key, "the path is longer than \(SMTPServerConfiguration.maximumFilterPath) octets")
            return
        }
        if inheritsFilters {
            configuration.contentFilters = []
            inheritsFilters = false
        }
        guard !configuration.contentFilters.contains(arguments[0]) else {
            fail(number, key, "'\(arguments[0])' is there already")
            return
        }
        guard configuration.contentFilters.count < SMTPServerConfiguration.maximumFilters else {
            fail(number, key, "at most \(SMTPServerConfiguration.maximumFilters) filters are possible")
            return
        }
        configuration.contentFilters.append(arguments[0])
    }
}
