import SpoolFormat

@testable import Scheduling

/// What a simulated world is made of.
struct SimulationPlan {
    var seed: UInt64
    var recipients: Int
    var destinations: Int
    /// Seconds in which mail comes; its last messages are gone two days and a half later.
    var arrivalTime: Int64
    /// Recipients that come for one destination in one moment.
    var burst: Int

    static let start: UnixTime = 1_800_000_000
    static let day: Int64 = 86400
    static let channels = ["smtp", "smtpx", "slow", "program", "etrn"]
    /// Numbers of channels that give a starvation bound: nothing but the limits of all holds their mail up.
    static let promptChannels = ["smtp", "smtpx", "program"]

    /// `isTight`: after a change of the configuration.
    static func rules(_ channel: String, isTight: Bool) -> ThreadRules? {
        let all = isTight ? 150 : 400
        switch channel {
        case "smtp":
            return ThreadRules(
                ring: 0, interval: 300, expiry: 2 * day, maximumJobs: all, maximumChannelJobs: isTight ? 100 : 300,
                maximumRingJobs: isTight ? 90 : 250, maximumThreadJobs: isTight ? 2 : 5, overfeed: 5, idleLimit: 600,
                variant: 1, maximumHostJobs: isTight ? 2 : 6, reportTimes: [4 * 3600, day])
        case "smtpx":
            return ThreadRules(
                ring: 1, interval: 60, retries: [1, 2, 4, 60, 120], expiry: isTight ? day : 2 * day, maximumJobs: all,
                maximumThreadJobs: isTight ? 1 : 3, idleLimit: 60, isAgeOrdered: true, variant: 2,
                maximumHostJobs: isTight ? 2 : 6)
        case "slow":
            return ThreadRules(
                ring: 2, interval: 600, expiry: 2 * day, expiry2: 7200, maximumJobs: all, maximumThreadJobs: 3,
                overfeed: 2, variant: 3, rate: 20, rateInterval: 60, messagesPerConnection: 10, reportTimes: [43200])
        case "program":
            return ThreadRules(
                ring: 3, interval: 120, expiry: day, maximumJobs: all, maximumRingJobs: 40, maximumThreadJobs: 10,
                idleLimit: 100, isAgentPerHost: true, variant: 4)
        case "etrn":
            return ThreadRules(
                ring: 4, interval: 3600, retries: [4], expiry: 2 * day, expiry2: 3600, maximumJobs: all,
                maximumThreadJobs: 2, isQueueOnly: true, wakesOnRestartOnly: true, variant: 5)
        default: return nil
        }
    }
}

/// What a destination does, by its number and the time.
enum SimulatedHost {
    /// Takes everything, refuses a few.
    case up
    /// Down every other half day.
    case flapping
    case dead
    /// Asks to come again after five minutes.
    case greylisting
    /// Says 421 to more than a few jobs at a time.
    case busy(Int)
    /// Names the time itself now and then.
    case scheduling
    /// Refuses for now, recipient by recipient, for ever.
    case full

    init(_ number: Int) {
        self =
            switch number % 20 {
            case 1, 11: .flapping
            case 3: .dead
            case 5, 15: .greylisting
            case 7: .busy(1 + number / 20 % 4)
            case 9: .scheduling
            case 13: .full
            default: .up
            }
    }

    var isUp: Bool { if case .up = self { true } else { false } }
}
