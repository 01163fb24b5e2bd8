import ArgumentParser
import Configuration
import SpoolFormat
import Supervisor

struct Queue: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue", abstract: "Lists what has not yet been delivered, and changes what becomes of it.",
        discussion: """
            Patterns are a shell's (* ? [a-z]), ASCII letters in any case. Words of one kind are alternatives, all kinds must hold.
            Only root and the owner of POSTOFFICE may. What is done is logged with the name of who did it.
            Exit code 64: refused, and why; 66: nothing of that name is in the queue; 69: the scheduler does not answer; 77: not allowed.
            """,
        subcommands: [
            List.self, Show.self, Retry.self, Hold.self, Release.self, Remove.self, Bounce.self, Move.self, Export.self,
            Import.self,
            Suspend.self, Resume.self, SuspensionList.self, Top.self,
        ], defaultSubcommand: List.self)

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists messages, all or what is meant, or destinations.")
        @OptionGroup var instance: Instance
        @Flag(help: "One JSON object a line.") var json = false
        @Flag(help: "By destination (channel/host) and not by message.") var threads = false
        @OptionGroup var selection: Selection

        func validate() throws {
            if threads, !selection.filter.isEmpty {
                throw ValidationError("--threads shows all destinations; leave out what selects messages")
            }
        }

        func run() throws {
            let filter = selection.filter
            guard !filter.isEmpty, !filter.isAll else {
                return try finish(QueueCommand.list(instance.environment, json: json, threads: threads))
            }
            try finish(QueueCommand.select(instance.environment, filter, json: json))
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows messages with all of their recipients.")
        @OptionGroup var instance: Instance
        @Flag(help: "One JSON object a line.") var json = false
        @Argument(help: "Queue ids.") var ids: [String]
        func validate() throws { try requireIDs(ids) }
        func run() throws {
            var filter = QueueFilter()
            filter.ids = ids
            try finish(QueueCommand.select(instance.environment, filter, json: json))
        }
    }

    struct Retry: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tries mail now, before other mail of its destination.",
            discussion: "What is held or suspended is left alone: release or resume it.")
        @OptionGroup var operation: Operation
        func run() throws { try operation.run(.retry) }
    }

    struct Hold: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Keeps messages in the queue until they are released, also over a restart; they do not expire.",
            discussion: "A message is held as a whole if any of its recipients is meant.")
        @OptionGroup var operation: Operation
        @Option(help: "Why; shown with the message and in the log.") var reason = ""
        func run() throws { try operation.run(.hold, reason: reason) }
    }

    struct Release: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lets go what an operator has held.",
            discussion: "What its sender has held (FUTURERELEASE), or a suspension holds, is not released by it.")
        @OptionGroup var operation: Operation
        func run() throws { try operation.run(.release) }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Takes recipients out of the queue; nobody is told.",
            discussion: """
                A message is gone when it has no recipient left. What an agent has may be delivered still; what the agent does not
                deliver is gone afterwards.
                """)
        @OptionGroup var operation: Operation
        @Option(help: "Why; for the log.") var reason = ""
        func run() throws { try operation.run(.remove, reason: reason) }
    }

    struct Bounce: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Returns mail to its senders with a report: 5.7.0 and the reason.",
            discussion: "Senders of unwanted mail are mostly forged: those who are told may have sent nothing.")
        @OptionGroup var operation: Operation
        @Option(help: "What the sender reads.") var reason: String
        func validate() throws {
            if reason.isEmpty { throw ValidationError("--reason is empty; valid is a line for the sender") }
        }
        func run() throws { try operation.run(.bounce, reason: reason) }
    }

    struct Move: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Has mail delivered by another channel or host, or routed again.",
            discussion: """
                With --reroute what is undone becomes a message of its own, with a new queue id, which the router takes. In both cases
                recipients that are done are not served again.
                """)
        @OptionGroup var operation: Operation
        @Option(
            help: ArgumentHelp("The new destination, for example smtp/relay.example.org.", valueName: "channel/host"))
        var to: String?
        @Flag(help: "Through the router, with the routes and aliases of now.") var reroute = false
        @Option(help: "Why; for the log.") var reason = ""
        func validate() throws {
            if (to == nil) == !reroute {
                throw ValidationError("valid are --to CHANNEL/HOST or --reroute, one of both")
            }
        }
        func run() throws { try operation.run(reroute ? .reroute : .move, reason: reason, target: to) }
    }

    struct Suspend: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Keeps mail from being tried for a time: what is queued and what comes.",
            discussion: """
                All patterns that are given must match. It ends by itself. Mail does not expire meanwhile. Recipients of a message at one
                host wait together. What an agent has is not taken from it.
                """)
        @OptionGroup var instance: Instance
        @Flag(help: "One JSON object.") var json = false
        @Option(help: ArgumentHelp("Channels.", valueName: "pattern")) var channel: String?
        @Option(help: ArgumentHelp("Hosts, as the queue shows them.", valueName: "pattern")) var host: String?
        @Option(help: ArgumentHelp("Senders; '<>': the null sender.", valueName: "pattern")) var sender: String?
        @Option(help: ArgumentHelp("Recipients.", valueName: "pattern")) var recipient: String?
        @Option(name: .customLong("for"), help: ArgumentHelp("For how long: 30m, 12h, 7d.", valueName: "time"))
        var time: String?
        @Flag(help: "Without an end.") var untilResumed = false
        @Option(help: "Why; shown with what waits.") var reason = ""

        func validate() throws {
            if (time == nil) == !untilResumed {
                throw ValidationError("valid are --for TIME (30m, 12h, 7d) or --until-resumed, one of both")
            }
            if channel == nil, host == nil, sender == nil, recipient == nil {
                throw ValidationError("valid are --channel, --host, --sender and --recipient, one of them at least")
            }
        }

        func run() throws {
            let values = [
                ("channel", channel), ("host", host), ("sender", sender), ("recipient", recipient), ("for", time),
                ("reason", reason.isEmpty ? nil : reason),
            ]
            var fields = values.compactMap { key, value in value.map { "\(key)=\($0)" } }
            if untilResumed { fields.append("forever=") }
            try finish(QueueControl.suspend(instance.environment, fields, json: json))
        }
    }

    struct Resume: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Ends suspensions before their time.")
        @OptionGroup var instance: Instance
        @Flag(help: "One JSON object a line.") var json = false
        @Flag(help: "All of them.") var all = false
        @Argument(help: "Their numbers, as zmailer queue suspensions shows them.") var numbers: [Int] = []
        func validate() throws {
            if numbers.isEmpty == !all {
                throw ValidationError("valid are numbers of suspensions or --all, one of both")
            }
        }
        func run() throws { try finish(QueueControl.resume(instance.environment, numbers: numbers, json: json)) }
    }

    struct SuspensionList: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "suspensions", abstract: "Lists what is suspended, until when, why, and how much waits for it."
        )
        @OptionGroup var instance: Instance
        @Flag(help: "One JSON object a line.") var json = false
        func run() throws { try finish(QueueControl.suspensions(instance.environment, json: json)) }
    }
}

extension Queue {
    struct Export: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Writes messages with what is undone of their envelopes into files, a file each.",
            discussion: """
                They are message files, which zmailer queue import takes, also on another machine. With --remove messages are held
                meanwhile, and removed when their files are durable; what an agent has stays.
                Exit code 75: something could not be exported, and stays.
                """)
        @OptionGroup var instance: Instance
        @OptionGroup var selection: Selection
        @Option(help: ArgumentHelp("The folder; made if it is missing.", valueName: "dir")) var to: String
        @Flag(help: "Take them out of the queue.") var remove = false
        @Argument(help: "Queue ids, as --id.") var ids: [String] = []

        func validate() throws {
            if !ids.isEmpty { try requireIDs(ids) }
            if selection.filter.isEmpty, ids.isEmpty {
                throw ValidationError("nothing says which mail is meant; valid are queue ids, the filters, and --all")
            }
        }

        func run() throws {
            var filter = selection.filter
            filter.ids += ids
            try finish(QueueTransfer.export(instance.environment, filter, to: to, removes: remove))
        }
    }

    struct Import: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Takes files of zmailer queue export as new messages, to be routed.",
            discussion: "Exit code 65: a file is no message, and stays.")
        @OptionGroup var instance: Instance
        @Flag(help: "Remove each file when its message is durable.") var remove = false
        @Argument(help: "Files, or folders of them.") var files: [String]
        func run() throws { try finish(QueueTransfer.import(instance.environment, files, removes: remove)) }
    }

    struct Top: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows sums and the largest destinations, again and again, until it is interrupted.")
        @OptionGroup var instance: Instance
        @Option(help: ArgumentHelp("Seconds between two looks.", valueName: "seconds")) var interval = 2
        @Option(help: ArgumentHelp("Destinations that are shown.", valueName: "n")) var lines = 20
        @Flag(help: "One look, and no cursor is moved.") var once = false
        func validate() throws {
            if !(1...3600).contains(interval) {
                throw ValidationError("--interval \(interval): must be from 1 to 3600")
            }
            if !(1...1000).contains(lines) { throw ValidationError("--lines \(lines): must be from 1 to 1000") }
        }
        func run() throws {
            try finish(
                QueueTop.run(instance.environment, QueueTop.Options(interval: interval, lines: lines, isOnce: once)))
        }
    }
}

struct Resubmit: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Has the router try now what it put off (deferred/), or what was put aside (postman/).",
        discussion: "Exit code 66: a message is in neither.")
    @OptionGroup var instance: Instance
    @Flag(help: "All of deferred/.") var all = false
    @Argument(help: "Queue ids.") var ids: [String] = []
    func validate() throws {
        if ids.isEmpty == !all { throw ValidationError("valid are queue ids or --all, one of both") }
        if !ids.isEmpty { try requireIDs(ids) }
    }
    func run() throws { try finish(QueueTransfer.resubmit(instance.environment, ids)) }
}

struct Reroute: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Routes queued mail again, with the routes and aliases of now: zmailer queue move --reroute.",
        discussion: "What is undone becomes a message of its own; recipients that are done are not served again.")
    @OptionGroup var operation: Operation
    @Option(help: "Why; for the log.") var reason = ""
    func run() throws { try operation.run(.reroute, reason: reason) }
}

/// Which mail is meant.
struct Selection: ParsableArguments {
    @Option(help: ArgumentHelp("A queue id. Repeatable.", valueName: "id")) var id: [String] = []
    @Option(help: ArgumentHelp("Senders; '<>': the null sender. Repeatable.", valueName: "pattern"))
    var sender: [String] = []
    @Option(help: ArgumentHelp("Recipients, as given or as routed. Repeatable.", valueName: "pattern"))
    var recipient: [String] = []
    @Option(help: ArgumentHelp("Hosts of destinations. Repeatable.", valueName: "pattern")) var host: [String] = []
    @Option(help: ArgumentHelp("Channels. Repeatable.", valueName: "pattern")) var channel: [String] = []
    @Option(
        help: ArgumentHelp("waiting, deferred, held, active or suspended. Repeatable.", valueName: "status"))
    var status: [String] = []
    @Option(help: ArgumentHelp("Arrived longer ago: 30m, 12h, 7d.", valueName: "time")) var older: String?
    @Option(help: ArgumentHelp("Arrived since.", valueName: "time")) var younger: String?
    @Option(help: ArgumentHelp("At least so large: 500, 20k, 3M.", valueName: "size")) var larger: String?
    @Option(help: ArgumentHelp("At most so large.", valueName: "size")) var smaller: String?
    @Flag(help: "Everything; it must be said.") var all = false

    var filter: QueueFilter {
        var filter = QueueFilter()
        filter.ids = id
        filter.senders = sender
        filter.recipients = recipient
        filter.hosts = host
        filter.channels = channel
        filter.statuses = status
        filter.older = older
        filter.younger = younger
        filter.larger = larger
        filter.smaller = smaller
        filter.isAll = all
        return filter
    }

    func validate() throws {
        if !id.isEmpty { try requireIDs(id) }
        if all, filter.selects { throw ValidationError("--all and what selects: give one of both") }
    }
}

/// What all operations take.
struct Operation: ParsableArguments {
    @OptionGroup var instance: Instance
    @Flag(help: "One JSON object a line.") var json = false
    @Flag(help: "Count what would be done, and do nothing.") var dryRun = false
    @OptionGroup var selection: Selection
    @Argument(help: "Queue ids, as --id.") var ids: [String] = []

    func validate() throws {
        if !ids.isEmpty { try requireIDs(ids) }
    }

    func run(_ verb: QueueControl.Verb, reason: String = "", target: String? = nil) throws {
        var filter = selection.filter
        filter.ids += ids
        try finish(
            QueueControl.operate(
                instance.environment,
                QueueControl.Request(verb, filter, reason: reason, target: target, isDryRun: dryRun), json: json))
    }
}

func requireIDs(_ texts: [String]) throws {
    if texts.isEmpty { throw ValidationError("a queue id is needed") }
    for text in texts where SpoolID(text) == nil {
        throw ValidationError("'\(text)' is no queue id; valid are names as zmailer queue list shows them")
    }
}
