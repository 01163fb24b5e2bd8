import ArgumentParser
import DatabaseTools

struct NewDatabase: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "newdb",
        abstract: "Checks the aliases and builds the policy database; running daemons use it within a second.",
        discussion:
            "With mistakes the database in use stays; they are told with file and line. With a file: builds FILE.gdbm of it."
    )
    @OptionGroup var instance: Instance
    @Flag(name: .short, help: "Fold the keys of the file to lower case.") var lower = false
    @Flag(name: .short, help: "The file has the form of aliases.") var aliases = false
    @Flag(name: .short, help: "Say nothing but mistakes.") var silent = false
    @Argument(help: "A text file, key and value a line.") var file: String?

    func validate() throws {
        if file == nil, lower || aliases { throw ValidationError("-l and -a need a file") }
    }

    func run() throws {
        guard let file else { return try finish(NewDatabases.build(instance.environment, isSilent: silent)) }
        try finish(
            NewDatabases.build(
                file: file, instance.environment, foldsToLower: lower, hasAliasForm: aliases, isSilent: silent))
    }
}
