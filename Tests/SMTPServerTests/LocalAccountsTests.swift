import Glibc
import ProgramKit
import Synchronization
import Testing

@testable import SMTPServer

/// How sessions of this host's users are counted, and how their names are looked up.
@Suite struct LocalAccountsTests {
    private typealias Result = Swift.Result<LocalAccount, SystemAccount.Failure>

    @Test("sessions are counted for each uid and for all; those of uids that have no account together")
    func counts() throws {
        let answers = Mutex(0)
        let accounts = LocalAccounts { uid in
            .success(LocalAccount(uid: uid, name: uid < 10 ? "user\(uid)" : nil))
        }
        for uid in [1, 1000, 1001] as [uid_t] { accounts.find(uid) { _ in answers.withLock { $0 += 1 } } }
        try eventually("all are looked up") { answers.withLock { $0 } == 3 }
        let places = ([1, 1000, 1001, 1, 1001] as [uid_t]).map(accounts.begin)
        #expect(places.map(\.ofHolder) == [1, 1, 2, 2, 3])
        #expect(places.map(\.total) == [1, 2, 3, 4, 5])
        #expect(places.map(\.holder) == [.uid(1), .nobody, .nobody, .uid(1), .nobody])
        for place in places { accounts.end(place) }
        #expect(accounts.begin(1001) == LocalAccounts.Place(holder: .nobody, ofHolder: 1, total: 1))
        accounts.stop()
    }

    @Test("a hundred sessions of one uid make one look-up, and none waits behind those of another")
    func joined() throws {
        let asked = Mutex(0)
        let released = Mutex(false)
        let names = Mutex<[String]>([])
        let accounts = LocalAccounts { uid in
            asked.withLock { $0 += 1 }
            for _ in 0..<3000 where uid == 1 && !released.withLock({ $0 }) { usleep(10_000) }
            return .success(LocalAccount(uid: uid, name: "user\(uid)"))
        }
        let keep: @Sendable (Result) -> Void = { result in
            let name = (try? result.get())?.name ?? "failed"
            names.withLock { $0.append(name) }
        }
        for _ in 0..<100 { accounts.find(1, keep) }
        accounts.find(2, keep)
        try eventually("the other one is known") { names.withLock { $0 } == ["user2"] }
        released.withLock { $0 = true }
        try eventually("all are told") { names.withLock { $0.count } == 101 }
        #expect(names.withLock { $0.count { $0 == "user1" } } == 100)
        #expect(asked.withLock { $0 } == 2)
        // Known now: at once.
        accounts.find(1, keep)
        #expect(names.withLock { $0.count } == 102)
        accounts.stop()
    }

    @Test("a failure is told to all who wait and is not kept; when stopped nobody is left without an answer")
    func failures() throws {
        let results = Mutex<[Result]>([])
        let accounts = LocalAccounts { _ in .failure(SystemAccount.Failure(code: EIO)) }
        for count in 1...2 {
            accounts.find(1) { result in results.withLock { $0.append(result) } }
            try eventually("it failed") { results.withLock { $0.count } == count }
        }
        accounts.stop()
        accounts.find(1) { result in results.withLock { $0.append(result) } }
        #expect(
            results.withLock { $0 } == [
                .failure(SystemAccount.Failure(code: EIO)), .failure(SystemAccount.Failure(code: EIO)),
                .failure(SystemAccount.Failure(code: ECANCELED)),
            ])
    }
}
