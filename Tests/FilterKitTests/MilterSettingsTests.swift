import Configuration
import Foundation
import Glibc
import MilterAgent
import MilterProtocol
import Testing

@Suite("filter-milter's configuration", .timeLimit(.minutes(2))) struct MilterSettingsTests {
    @Test("keys are read")
    func keys() throws {
        let settings = try MilterSettings.parse(
            """
            # OpenDKIM
            milter  unix:/run/opendkim/opendkim.sock   # its socket
            timeout 5
            connect-timeout 6\r
            message-timeout 7
            max-connections 8

            daemon-name ORIGINATING
            hostname mx.example.org
            """, file: "f")
        #expect(settings.socket == .unix("/run/opendkim/opendkim.sock"))
        let numbers = [
            settings.timeout, settings.connectTimeout, settings.messageTimeout, settings.maximumConnections,
        ]
        #expect(numbers == [5, 6, 7, 8])
        #expect(settings.daemonName == "ORIGINATING")
        #expect(settings.hostName == "mx.example.org")
    }

    static let socketNames: [(String, MilterSettings.Socket?)] = [
        ("unix:/a", .unix("/a")), ("local:/a:b", .unix("/a:b")),
        ("inet:8891@localhost", .inet(host: "localhost", port: 8891)),
        ("inet6:8891@[::1]", .inet(host: "::1", port: 8891)), ("unix:a", nil), ("/a", nil), ("inet:8891", nil),
        ("inet:0@a", nil), ("inet:65536@a", nil), ("inet:1@", nil), ("", nil), ("tcp:1@a", nil),
        ("unix:/" + String(repeating: "a", count: 107), nil),
    ]

    @Test("sockets are named as milters name them", arguments: socketNames)
    func sockets(text: String, socket: MilterSettings.Socket?) {
        #expect(MilterSettings.Socket(text) == socket)
    }

    static let wrong: [(String, [Int])] = [
        ("", [0]), ("timeout 5", [0]), ("milter unix:/a\nmilter unix:/b", [2]), ("milter unix:/a\ntimeout 0", [2]),
        ("milter unix:/a\ntimeout x\nnonsense 1\nhostname a_b..c\nmax-connections 65", [2, 3, 4, 5]), ("milter", [1]),
        ("milter unix:/a b", [1]), ("\n\nmilter here", [3]),
    ]

    @Test("all mistakes are told with their lines", arguments: wrong)
    func mistakes(text: String, lines: [Int]) {
        do {
            _ = try MilterSettings.parse(text, file: "f.conf")
            Issue.record("no mistake was found")
        } catch {
            #expect(error.errors.map(\.line) == lines, "\(error)")
            #expect(error.description.hasPrefix("f.conf"))
        }
    }

    @Test("the program reads the configuration of the name it is started by, and tries again when the milter is back")
    func program() throws {
        let folder = try FilterFolder()
        try "MAILSHARE=\(folder.path)\n".write(toFile: "\(folder.path)/z.conf", atomically: true, encoding: .utf8)
        try "milter unix:\(folder.path)/milter.sock\nmax-connections 1\n".write(
            toFile: "\(folder.path)/filter-milter.one.conf", atomically: true, encoding: .utf8)
        let process = try FilterProcess(
            FilterProcess.program("filter-milter"), name: "/usr/libexec/filter-milter.one",
            environment: ["ZCONFIG": "\(folder.path)/z.conf"], log: "\(folder.path)/log")
        let path = try folder.message()
        #expect(process.peer.line() == "#hungry")
        process.peer.send(path)
        let line = try #require(process.peer.line())
        let id = URL(fileURLWithPath: path).lastPathComponent
        #expect(line.hasPrefix("# \(id): no answer: milter unix:\(folder.path)/milter.sock: connect: "))
        #expect(process.peer.line() == "#hungry")
        let milter = try FakeMilter(in: folder.path) { FakeMilter.answer($0) }
        defer { milter.stop() }
        process.peer.send(path)
        #expect(process.peer.line() == "0")
        process.peer.endInput()
        #expect(process.wait() == 0)
        #expect(process.output.contains("connect: "))
    }

    @Test("without its configuration the program ends with 78 and says which file it wants")
    func missing() throws {
        let folder = try FilterFolder()
        try "MAILSHARE=\(folder.path)\n".write(toFile: "\(folder.path)/z.conf", atomically: true, encoding: .utf8)
        let process = try FilterProcess(
            FilterProcess.program("filter-milter"), environment: ["ZCONFIG": "\(folder.path)/z.conf"],
            log: "\(folder.path)/log")
        #expect(process.peer.line() == nil)
        #expect(process.wait() == 78)
        #expect(process.output.contains("\(folder.path)/filter-milter.conf: "))
    }
}
