import Configuration
import Glibc
import ProgramKit
import Routing
import Tables

/// `newaliases`: the router reads `$MAILVAR/db/aliases` itself when it has changed, so all there is to do is to say what it will find.
enum AliasCheck {
    private static let limit = 1 << 28

    static func run(_ name: String, _ environment: ZEnvironment) -> ExitCode {
        let path = "\(environment.mailvar)/db/aliases"
        let octets: [UInt8]
        do throws(FileOctets.Failure) {
            octets = try FileOctets.read(path, limit: limit)
        } catch {
            Program.print("\(name): \(error)", to: 2)
            return .noInput
        }
        do throws(TableErrors) {
            let table = try AliasTable.parse(octets, file: path, check: AliasTarget.problem)
            Program.print("\(path): \(table.entries.count) aliases; they are used from now on, nothing has to be built")
            return .ok
        } catch {
            Program.print("\(error)", to: 2)
            Program.print("\(name): the version before stays in use until that is mended", to: 2)
            return .dataError
        }
    }
}
