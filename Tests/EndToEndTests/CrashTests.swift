import Foundation
import Testing

@Suite("Crashes under load")
struct CrashTests {
    @Test("kill -9 of each program in turn and of all together: everything that got 250 arrives")
    func chaos() async throws {
        let process = try TestProcess(
            "/usr/bin/env",
            ["python3", "\(Programs.sources)/scripts/chaos", "--rounds", "12", "--layout", Programs.layout],
            outputPath: NSTemporaryDirectory() + "chaos-\(getpid()).out")
        let status = try await process.waitForExit(deadline: .seconds(300))
        #expect(status == .exited(0), "\(process.output)")
    }
}
