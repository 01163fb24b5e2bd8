import Glibc
import Policy
import Tables

/// What is wrong with the policy, for `router --check` and `smtpserver --check`.
public enum PolicyCheck {
    /// The mistakes of the text files of `$MAILVAR/db`, and of the database that policy-builder.sh makes of them if it is there: which of
    /// them an smtpserver uses stands in its own configuration.
    public static func problems(_ configuration: MailConfiguration) -> [String] {
        var problems = PolicyFiles(folder: configuration.tables, log: nil).problems()
        let database = "\(configuration.tables)/smtp-policy"
        if access("\(database).gdbm", F_OK) == 0 {
            do throws(PolicyTrouble) {
                _ = try PolicyDatabaseFile(path: database, log: nil).current(now: 0).metadata()
            } catch {
                problems.append(error.description)
            }
        }
        return problems
    }

    /// Why an smtpserver with these settings would answer 451, to everybody or to all with a login: a table of its own is missing or
    /// cannot be used.
    public static func problem(_ settings: AskerSettings) -> String? {
        databaseProblem(settings) ?? senderTableProblem(settings)
    }

    private static func senderTableProblem(_ settings: AskerSettings) -> String? {
        guard !settings.senderTable.isEmpty else { return nil }
        let file = TableFile(path: settings.senderTable, empty: nil, parse: SenderTable.parse, report: { _ in })
        do throws(TableTrouble) {
            _ = try file.current(now: 0)
            return nil
        } catch {
            return error.description
        }
    }

    private static func databaseProblem(_ settings: AskerSettings) -> String? {
        guard case .gdbm(let path) = settings.database else { return nil }
        do throws(PolicyTrouble) {
            _ = try PolicyDatabaseFile(path: path, log: nil).current(now: 0).metadata()
            return nil
        } catch {
            return error.description
        }
    }
}
