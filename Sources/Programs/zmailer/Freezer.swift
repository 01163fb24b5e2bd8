import ArgumentParser
import Configuration
import SpoolFormat
import Supervisor

struct Freezer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "freezer",
        abstract: "Shows what was accepted and is held back, and why; lets it go, drops it, or returns it.",
        discussion: """
            Only root and the owner of POSTOFFICE may. What is done is logged in LOGDIR/freezer; zmailer trace tells it.
            Exit code 65: there is nobody to tell, 66: a message is not in the freezer, 75: another program works on it,
            77: not allowed.
            """,
        subcommands: [List.self, Show.self, Release.self, Drop.self, Bounce.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists frozen messages, oldest first; all that is given has to match.")
        @OptionGroup var instance: Instance
        @Flag(help: "One JSON object a line; zmailer(8) has its keys.") var json = false
        @Option(
            help: ArgumentHelp("The sender, or '@domain'; '' or '<>': the null sender.", valueName: "address"))
        var from: String?
        @Option(help: ArgumentHelp("A recipient, or '@domain'.", valueName: "address")) var to: String?
        @Option(help: ArgumentHelp("Arrived longer ago: 30m, 12h, 7d, 2w.", valueName: "time"))
        var olderThan: String?
        @Option(help: ArgumentHelp("A part of the source or the reason, in any case.", valueName: "text"))
        var reason: String?

        func validate() throws {
            if let olderThan, SchedulerTime.parse(olderThan) == nil {
                throw ValidationError("--older-than \(olderThan): valid are 30m, 12h, 7d, 1w2d")
            }
        }

        func run() throws {
            let filter = FreezerFilter(
                from: from, to: to, olderThan: olderThan.flatMap { SchedulerTime.parse($0)?.components.seconds },
                reason: reason)
            try finish(FreezerCommand.list(instance.environment, filter, json: json))
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows a frozen message: envelope, reason and header, with control characters escaped.")
        @OptionGroup var instance: Instance
        @Flag(help: "Only the header.") var header = false
        @Flag(help: "The whole message as it came; for a file or a pipe.") var raw = false
        @Argument(help: "Its queue id.") var id: String

        func validate() throws {
            _ = try frozenIDs([id])
            if header, raw { throw ValidationError("--header and --raw at once: give one of both") }
        }

        func run() throws {
            for id in try frozenIDs([id]) {
                try finish(FreezerCommand.show(instance.environment, id, raw ? .raw : header ? .header : .overview))
            }
        }
    }

    struct Release: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Has messages routed and delivered; they are not filtered again.")
        @OptionGroup var instance: Instance
        @Argument(help: "Queue ids.") var ids: [String]
        func validate() throws { _ = try frozenIDs(ids) }
        func run() throws { try finish(FreezerCommand.act(instance.environment, .release, frozenIDs(ids))) }
    }

    struct Drop: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Removes messages; nobody is told.")
        @OptionGroup var instance: Instance
        @Argument(help: "Queue ids.") var ids: [String]
        func validate() throws { _ = try frozenIDs(ids) }
        func run() throws { try finish(FreezerCommand.act(instance.environment, .drop, frozenIDs(ids))) }
    }

    struct Bounce: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Returns messages to their senders with a report (5.7.1 and the reason), and removes them.",
            discussion: "Senders of unwanted mail are mostly forged: those who are told may have sent nothing.")
        @OptionGroup var instance: Instance
        @Argument(help: "Queue ids.") var ids: [String]
        func validate() throws { _ = try frozenIDs(ids) }
        func run() throws { try finish(FreezerCommand.act(instance.environment, .bounce, frozenIDs(ids))) }
    }
}

private func frozenIDs(_ texts: [String]) throws -> [SpoolID] {
    if texts.isEmpty { throw ValidationError("an ID is needed") }
    return try texts.map { text in
        guard let id = SpoolID(text) else {
            throw ValidationError("'\(text)' is no queue id; valid are names as zmailer freezer list shows them")
        }
        return id
    }
}
