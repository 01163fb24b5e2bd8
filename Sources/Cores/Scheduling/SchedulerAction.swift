import AgentProtocol
import SpoolFormat

/// What the host of the core has to do, in this order.
public enum SchedulerAction: Sendable {
    /// Start a process; its messages are given to the core under this number.
    case startAgent(agent: Int, channel: String, host: String)
    /// `messagesPerConnection`: after so many messages the agent is to open a new connection; `nil`: no limit.
    case feed(agent: Int, id: SpoolID, host: String, messagesPerConnection: Int?)
    /// Close its input: it finishes what it has and ends.
    case closeAgent(Int)
    /// It has had a job for far too long; its jobs go to others when it has ended.
    case killAgent(Int)
    /// Append a record and set the tag, then call ``DeliveryScheduler/recorded(_:vertex:)``.
    case append(id: SpoolID, vertex: Int, record: ResultRecord, tag: ControlRecipient.Tag?)
    /// Tell the sender of what is recorded and not yet reported, then call ``DeliveryScheduler/reported(_:)``.
    case report(SpoolID)
    /// Every recipient is done: report what is unreported if asked, then remove the message, then call
    /// ``DeliveryScheduler/finished(_:)``.
    case finish(id: SpoolID, ending: Ending)
    /// Read the control file again and give it to ``DeliveryScheduler/reload(_:)``.
    case reread(SpoolID)
    /// Give these recipients, by offset, another channel and host in the control file, then read it and call
    /// ``DeliveryScheduler/moved(_:)``.
    case move(id: SpoolID, offsets: [Int], channel: String, host: String, note: OperatorNote)
    /// Likewise: have them routed again, as a message of their own.
    case reroute(id: SpoolID, offsets: [Int], note: OperatorNote)
    case log(SchedulerEvent)

    public enum Ending: Hashable, Sendable {
        case remove
        case reportAndRemove
        /// An error message that could not be delivered: nobody is told.
        case doubleFault
    }
}

/// What an operator should know.
public enum SchedulerEvent: Sendable {
    case result(DeliveryLogEntry)
    /// No clause of scheduler.conf has a command for it: its mail waits.
    case unmatched(channel: String, host: String, id: SpoolID)
    /// A report that belongs to no job of this agent.
    case strayReport(agent: Int, AgentReport)
    /// An agent has died over this job three times: it waits for its next attempt.
    case poison(id: SpoolID, channel: String, host: String, next: UnixTime)
    /// All of a destination waits.
    case backOff(channel: String, host: String, until: UnixTime, problem: String)
    /// A job has taken too long: its agent is ended.
    case hungAgent(agent: Int, id: SpoolID, seconds: Int64)
    /// The message waits for the time that its sender has set.
    case held(id: SpoolID, until: UnixTime)
    /// That time has come; `late`: seconds since.
    case released(id: SpoolID, late: Int64)
    /// Its deliver-by-time or a time to tell of a delay has passed, and delivery goes on; `isTold`: its sender hears of it.
    case late(id: SpoolID, recipient: String, text: String, isTold: Bool)
    /// An operator has had something done to it.
    case operated(id: SpoolID, verb: String, note: OperatorNote)
    /// Its time has come.
    case suspensionEnded(Suspension)
    /// The agent found nothing to deliver for a job.
    case resync(agent: Int, id: SpoolID)
}

/// One result of one recipient.
public struct DeliveryLogEntry: Sendable {
    public enum Outcome: String, Sendable {
        case delivered, relayed, expanded, failed, deferred, expired, removed
    }
    public var id: SpoolID
    public var recipient: String
    /// Only if routing changed it.
    public var original: String?
    public var channel: String
    public var host: String
    /// `host (address)`, or empty.
    public var relay: String
    /// ``Notary/security``.
    public var security: String
    /// Seconds since the message arrived, or was released.
    public var delay: Int64
    public var status: String
    public var outcome: Outcome
    public var text: String
    public var attempts: Int
    /// When the message came, and when this scheduler heard of it. Seconds since 1970.
    public var arrived: UnixTime
    public var known: UnixTime
    public var time: UnixTime
}
