import Foundation
import Glibc
import Testing

/// What holds of every filter that asks a daemon.
struct FilterLife<Peer: FilterPeer> {
    let peer: Peer
    let filter: String

    func script(_ settings: [String] = []) throws -> FilterScript {
        try FilterScript(filter, settings: ["server = \(peer.endpoint)"] + settings)
    }

    /// Over the unix socket and over TCP.
    func answersEverywhere() async throws {
        for server in [peer.endpoint, "127.0.0.1:\(peer.port)", "localhost:\(peer.port)"] {
            let script = try FilterScript(filter, settings: ["server = \(server)"])
            for _ in 0..<3 {
                let answer = try await script.answer(script.message(FilterScript.content("See you on Thursday.")))
                #expect(answer.result == "0 250 2.6.0 Message accepted", "\(server): \(answer.lines)")
            }
            #expect(try await script.end() == .exited(0))
            #expect(script.errors == "")
        }
    }

    func survivesEveryMessage() async throws {
        let script = try script(["max-size = 0"])
        for content in FilterContents.hostile {
            let answer = try await script.answer(script.message(content.octets))
            #expect(answer.result != nil, "\(content.name): \(answer.lines) \(peer.daemon.output.suffix(500))")
        }
        let sender = String(repeating: "a", count: 64) + "@\u{f6}.test\"<>\r\u{1}"
        let answer = try await script.answer(
            script.message(FilterScript.content("hello"), from: sender, to: (0..<1000).map { "user\($0)@example.test" })
        )
        #expect(answer.result != nil, "\(answer.lines)")
        #expect(try await script.end() == .exited(0))
        #expect(script.errors == "")
    }

    func passesOnWithoutKeeping(_ size: Int) async throws {
        let script = try script(["max-size = 0"])
        let answer = try await script.answer(script.message(FilterContents.large(size)), deadline: .seconds(115))
        #expect(answer.result != nil, "\(answer.lines) \(peer.daemon.output.suffix(500))")
        #expect(script.peakMemory > 0)
        #expect(script.peakMemory < 30 << 10, "KiB")
        #expect(try await script.end() == .exited(0))
    }

    /// The daemon dies and comes back.
    func outlivesTheDaemon() async throws {
        let message = FilterScript.content("See you on Thursday.")
        let accepted = "0 250 2.6.0 Message accepted"
        let patient = try script(["retry = 50"])
        let path = try patient.message(message)
        #expect(try await patient.answer(path).result == accepted)

        try await peer.kill()
        let impatient = try script(["retry = 0"])
        let nothing = try await impatient.answer(impatient.message(message))
        #expect(nothing.result == nil)
        #expect(nothing.remarks.count == 1 && nothing.remarks[0].contains(peer.endpoint), "\(nothing.lines)")
        #expect(try await impatient.end() == .exited(0))
        for (word, result) in [("accept", "0 250 2.6.0"), ("freeze", "1 250 2.7.1"), ("defer", "-1 451 4.7.1")] {
            let script = try script(["retry = 0", "failure = \(word)"])
            for _ in 0..<2 {
                let answer = try await script.answer(script.message(message))
                #expect(answer.result == "\(result) Content filter not available")
            }
            #expect(try await script.end() == .exited(0))
        }

        // The one that knew the daemon is asked while there is none, and goes on with the next.
        async let start: Void = peer.start()
        #expect(try await patient.answer(path).result == accepted)
        try await start
        #expect(try await patient.answer(path).result == accepted)
        #expect(try await patient.end() == .exited(0))
    }
}
