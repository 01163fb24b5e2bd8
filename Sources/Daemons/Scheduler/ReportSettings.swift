import Configuration
import Synchronization

/// What scheduler.conf, and FORMLANGUAGE of zmailer.conf, say about reports, read by the workers while the loop may set it.
final class ReportSettings: Sendable {
    static let shared = ReportSettings()
    private let configuration = Mutex<SchedulerConfiguration?>(nil)

    private let languages = Mutex<[String]>([])

    func set(_ configuration: SchedulerConfiguration, _ environment: ZEnvironment) {
        self.configuration.withLock { $0 = configuration }
        languages.withLock { $0 = environment.formLanguages }
    }

    private func settings(channel: String, host: String) -> SchedulerSettings? {
        configuration.withLock { $0 }?.settings(channel: channel, host: host)
    }

    /// `PARAMstore-error-on-error`.
    var storesErrorOnError: Bool { configuration.withLock { $0?.parameters.storesErrorOnError } ?? false }

    func rules() -> ReportRules {
        ReportRules(
            languages: { [self] in languages.withLock { $0 } },
            form: { [self] channel, host, isExpired in
                settings(channel: channel, host: host).flatMap { isExpired ? $0.expiryForm : $0.deliveryForm }
            },
            retriedUntil: { [self] channel, host, deliverableFrom in
                settings(channel: channel, host: host).map { deliverableFrom + $0.expiry.components.seconds }
            },
            doubleFaultAddresses: { [self] in
                configuration.withLock { $0?.parameters.doubleFaultAddresses } ?? []
            })
    }
}

/// What the configuration says about reports, asked for each of them.
struct ReportRules: Sendable {
    /// Of forms, first choice first.
    var languages: @Sendable () -> [String] = { [] }
    /// `deliveryform` and `expiryform` of the clause for this channel and host: the name of a form; `nil`: that of the kind.
    var form: @Sendable (_ channel: String, _ host: String, _ isExpired: Bool) -> String? = { _, _, _ in nil }
    /// Seconds since 1970 until when a message of this channel and host is tried that could be delivered from then on; `nil`: not known.
    var retriedUntil: @Sendable (_ channel: String, _ host: String, _ deliverableFrom: Int64) -> Int64? = { _, _, _ in
        nil
    }
    /// `PARAMdouble-fault`.
    var doubleFaultAddresses: @Sendable () -> [String] = { [] }
}
