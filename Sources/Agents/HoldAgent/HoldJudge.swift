import AgentKit
import ChildProcesses
import Configuration
import Glibc
import ProgramKit
import Resolver

/// Finds out whether a condition is met. Blocks.
struct HoldJudge: Sendable {
    let resolver: any NameService
    let zenv: ZEnvironment
    /// Of a script: 60 s, 256 MiB.
    var limits = standardLimits

    static var standardLimits: ProgramRun.Limits {
        var limits = ProgramRun.Limits()
        limits.time = .seconds(60)
        limits.memory = 256 << 20
        return limits
    }

    enum Verdict: Hashable {
        /// With what is told of it.
        case met(String)
        /// For what, and for how many seconds if that is known.
        case waiting(String, seconds: Int? = nil)
    }

    /// `arrival` of the message and `now` in seconds since 1970.
    func verdict(_ condition: HoldCondition, arrival: Int64, now: Int64) -> Verdict {
        switch condition {
        case .always: .met("nothing to wait for")
        case .answered(let name, let types): answer(name, types)
        case .timeOut(let time):
            now >= time
                ? .met("the time has come")
                : .waiting("waits until \(time)", seconds: Int(min(time - now, Self.longestWait)))
        case .age(let age):
            now - arrival >= age.components.seconds
                ? .met("is old enough")
                : .waiting("waits until it is \(SchedulerTime.text(age.components.seconds)) old")
        case .sometimes: UInt8.random(in: 0..<10) == 0 ? .met("chance") : .waiting("waits for a chance of 10 %")
        case .script(let name, let argument): script(name, argument)
        case .home(let user): home(user)
        }
    }

    /// A clock that was wrong for a while must not hold mail for years.
    private static let longestWait: Int64 = 86400

    private func answer(_ name: String, _ types: [RecordType]) -> Verdict {
        for (type, lookup) in zip(types, resolver.lookUp(types.map { Question(name, $0) })) {
            if case .temporaryFailure(let reason) = lookup {
                return .waiting("waits for the DNS to tell \(type) of \(name): \(reason)")
            }
        }
        return .met("the DNS answers for \(name)")
    }

    private func script(_ name: String, _ argument: String?) -> Verdict {
        let path = "\(zenv.mailbin)/bin/\(name)"
        var request = ChildRequest(
            path: path, arguments: argument.map { [$0] } ?? [],
            environment: [
                "PATH=\(zenv["PATH"] ?? "/usr/local/bin:/usr/bin:/bin")", "MAILBIN=\(zenv.mailbin)",
                "MAILSHARE=\(zenv.mailshare)", "MAILVAR=\(zenv.mailvar)",
            ] + (zenv["ZCONFIG"].map { ["ZCONFIG=\($0)"] } ?? []))
        request.directory = "/"
        do throws(ProgramRun.Failure) {
            let outcome = try ProgramRun(request, limits: limits).run { () throws(FileError) in nil }
            let line = outcome.firstLine.isEmpty ? "" : ": \(outcome.firstLine)"
            switch outcome.end {
            case .exit(.code(0)): return .met("script \(name)\(line)")
            case .exit(let exit): return .waiting("waits for script \(name), \(exit)\(line)")
            case .timeOut: return .waiting("waits for script \(name), which took too long\(line)")
            }
        } catch {
            return .waiting("waits for script \(name): \(error)")
        }
    }

    private func home(_ user: String) -> Verdict {
        do throws(SystemAccount.Failure) {
            guard let account = try SystemAccount.named(user) else { return .waiting("waits for an account \(user)") }
            var information = stat()
            guard stat(account.home, &information) == 0, information.st_mode & S_IFMT == S_IFDIR else {
                return .waiting("waits for the home directory of \(user)")
            }
            return .met("the home directory of \(user) is there")
        } catch {
            return .waiting("waits for the home directory of \(user): \(error)")
        }
    }
}
