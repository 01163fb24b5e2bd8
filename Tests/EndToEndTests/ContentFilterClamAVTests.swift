import Foundation
import Testing

@Suite(
    "Content filter clamav", .serialized, .enabled(if: ClamdPeer.isAvailable, ClamdPeer.requirement),
    .filterPeer(ClamdPeer.self))
struct ContentFilterClamAVTests {
    private func life() throws -> FilterLife<ClamdPeer> {
        FilterLife(peer: try SuitePeer.of(ClamdPeer.self), filter: "clamav")
    }

    static let plain = FilterScript.content(ClamdPeer.eicar)
    static let attached = FilterScript.content(
        Data(ClamdPeer.eicar.utf8).base64EncodedString(),
        fields: [
            "Content-Transfer-Encoding: base64", "Content-Disposition: attachment; filename=\"a b.exe\"",
        ])
    static let name = "Virus found: Test.EICAR.UNOFFICIAL"

    @Test(
        "a message with a virus is refused or held with the name of the signature",
        arguments: [
            ([], plain, "-1 550 5.7.1 \(name)"),
            ([], attached, "-1 550 5.7.1 \(name)"),
            (["found = freeze"], attached, "1 250 2.7.1 \(name)"),
            (["text = Infected with"], plain, "-1 550 5.7.1 Infected with Test.EICAR.UNOFFICIAL"),
        ] as [([String], [UInt8], String)])
    func found(settings: [String], content: [UInt8], result: String) async throws {
        let script = try life().script(settings)
        for _ in 0..<2 {
            let answer = try await script.answer(script.message(content))
            #expect(answer.result == result)
            #expect(answer.edits == ["tag clamav=Test.EICAR.UNOFFICIAL"])
        }
        #expect(try await script.end() == .exited(0))
    }

    @Test("a virus behind thirty megabytes is found")
    func foundLate() async throws {
        let script = try life().script()
        let answer = try await script.answer(
            script.message(FilterContents.large(30 << 20) + Array(ClamdPeer.eicar.utf8)))
        #expect(answer.result == "-1 550 5.7.1 \(Self.name)", "\(answer.lines)")
    }

    @Test(
        "a message over clamd's limit, or ours, gets no result but that of the settings", arguments: ["socket", "TCP"])
    func tooLarge(service: String) async throws {
        let peer = try life().peer
        let server = "server = \(service == "TCP" ? "127.0.0.1:\(peer.port)" : peer.endpoint)"
        let large = FilterContents.large(40 << 20)
        let strict = try FilterScript("clamav", settings: [server])
        let nothing = try await strict.answer(strict.message(large))
        #expect(nothing.result == nil)
        #expect(nothing.remarks == ["# clamd: INSTREAM size limit exceeded. ERROR"])
        #expect(try await strict.end() == .exited(0))
        for (settings, content) in [(["large = freeze"], large), (["large = freeze", "max-size = 1K"], Self.plain)] {
            let script = try FilterScript(
                "clamav", settings: [server] + settings)
            let path = try script.message(content + FilterContents.large(2000))
            let answer = try await script.answer(path)
            #expect(answer.result == "1 250 2.7.1 Message too large to be checked")
            #expect(answer.edits == ["tag clamav=too-large"])
            #expect(try await script.answer(script.message(FilterScript.content(""))).result != nil)
            #expect(try await script.end() == .exited(0))
        }
    }

    @Test("clamd is asked over a unix socket and over TCP")
    func endpoints() async throws { try await life().answersEverywhere() }

    @Test("every message is answered, whatever is in it")
    func hostileMessages() async throws { try await life().survivesEveryMessage() }

    @Test("thirty megabytes are passed on without being kept")
    func large() async throws { try await life().passesOnWithoutKeeping(30 << 20) }

    @Test("without clamd there is no result but that of the settings, and with it all goes on")
    func restart() async throws { try await life().outlivesTheDaemon() }
}
