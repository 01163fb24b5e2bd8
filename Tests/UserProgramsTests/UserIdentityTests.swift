import CPosix
import Configuration
import Foundation
import Glibc
import ProgramKit
import Synchronization
import Testing

@testable import UserPrograms

@Suite struct UserIdentityTests {
    @Test("who it is is the effective uid's account, as the server is told", .enabled(if: getuid() == 0))
    func effective() throws {
        final class Found: Sendable {
            let name = Mutex<String?>(nil)
        }
        let environment = ZEnvironment(values: ["HOSTNAME": "mx.d.test"])
        let found = Found()
        let done = DispatchSemaphore(value: 0)
        // A thread of its own, which has the identity for the rest of its life; the real uid stays root's.
        Thread {
            let name = cposix_thread_identity(1, 1) == 0 ? UserIdentity.own(environment).name : "no identity"
            found.name.withLock { $0 = name }
            done.signal()
        }.start()
        #expect(done.wait(timeout: .now() + 30) == .success)
        #expect(try found.name.withLock { $0 } == SystemAccount.with(uid: 1)?.name ?? "uid-1")
    }

    @Test("a variable of the environment is read where nobody gains by it")
    func variable() {
        setenv("ZMAILER_TEST_VARIABLE", "value", 1)
        defer { unsetenv("ZMAILER_TEST_VARIABLE") }
        #expect(Program.variable("ZMAILER_TEST_VARIABLE") == "value")
        #expect(Program.variable("ZMAILER_TEST_MISSING") == nil)
    }
}
