import AgentProtocol
import CPosix
import Glibc
import Postoffice
import SpoolFormat
import Testing

@Suite("Notices between programs") struct NoticesTests {
    private struct Collected {
        var ids: [SpoolID] = []
        var scans = 0
        mutating func read(_ receiver: NoticeReceiver) {
            for notice in receiver.receive() {
                switch notice {
                case .new(let directory, let new):
                    #expect(directory == "router")
                    ids += new
                case .scan: scans += 1
                }
            }
        }
    }

    private func ids(_ count: Int, from start: UInt64 = 1) -> [SpoolID] {
        (0..<UInt64(count)).map { SpoolID(rawValue: start + $0) }
    }

    @Test("a name arrives at once")
    func one() throws {
        let folder = try ScratchFolder()
        let receiver = try NoticeReceiver(socketPath: "\(folder.path)/n")
        var info = stat()
        #expect(stat("\(folder.path)/n", &info) == 0 && info.st_mode & 0o777 == 0o600)
        let sender = NoticeSender(socketPath: "\(folder.path)/n", directory: "router")
        sender.send(SpoolID(rawValue: 5))
        #expect(receiver.receive() == [.new(directory: "router", ids: [SpoolID(rawValue: 5)])])
        #expect(receiver.receive().isEmpty)
        sender.send([])
        #expect(receiver.receive().isEmpty)
    }

    @Test("a slow receiver gets every name, in few datagrams, and the sender never waits for it")
    func slow() throws {
        let folder = try ScratchFolder()
        let receiver = try NoticeReceiver(socketPath: "\(folder.path)/n")
        let sender = NoticeSender(socketPath: "\(folder.path)/n", directory: "router")
        let all = ids(5000)
        for id in all { sender.send(id) }
        var collected = Collected()
        #expect(
            eventually {
                collected.read(receiver)
                return collected.ids.count >= all.count
            })
        #expect(collected.ids.sorted() == all)
        #expect(collected.scans == 0)
        // Afterwards names go directly again.
        #expect(
            eventually {
                sender.send(SpoolID(rawValue: 9_999_999))
                collected.read(receiver)
                return collected.ids.last?.rawValue == 9_999_999
            })
    }

    @Test("threads that send together lose nothing")
    func threads() throws {
        let folder = try ScratchFolder()
        let receiver = try NoticeReceiver(socketPath: "\(folder.path)/n")
        let sender = NoticeSender(socketPath: "\(folder.path)/n", directory: "router")
        onThreads(8) { index in
            for number in 0..<500 { sender.send(SpoolID(rawValue: UInt64(index * 500 + number + 1))) }
        }
        var collected = Collected()
        #expect(
            eventually {
                collected.read(receiver)
                return collected.ids.count >= 4000
            })
        #expect(collected.ids.sorted() == ids(4000))
    }

    @Test("more names than fit into a datagram arrive in several", arguments: [256, 257, 5000])
    func many(count: Int) throws {
        let folder = try ScratchFolder()
        let receiver = try NoticeReceiver(socketPath: "\(folder.path)/n")
        let sender = NoticeSender(socketPath: "\(folder.path)/n", directory: "router")
        let all = ids(count, from: UInt64.max - 6000)
        sender.send(all)
        var collected = Collected()
        #expect(
            eventually {
                collected.read(receiver)
                return collected.ids.count >= count
            })
        #expect(collected.ids.sorted() == all)
    }

    @Test("beyond the backlog the receiver is told to look")
    func overflow() throws {
        let folder = try ScratchFolder()
        let receiver = try NoticeReceiver(socketPath: "\(folder.path)/n")
        let sender = NoticeSender(socketPath: "\(folder.path)/n", directory: "router")
        sender.send(ids(NoticeSender.backlogLimit + 1))
        var collected = Collected()
        #expect(
            eventually {
                collected.read(receiver)
                return collected.scans > 0
            })
    }

    @Test("a receiver that was started again is found, even when its predecessor's queue was full")
    func restart() throws {
        let folder = try ScratchFolder()
        let path = "\(folder.path)/n"
        let sender = NoticeSender(socketPath: path, directory: "router")
        do {
            let first = try NoticeReceiver(socketPath: path)
            for id in ids(2000) { sender.send(id) }
            _ = first.receive()
        }
        let second = try NoticeReceiver(socketPath: path)
        var collected = Collected()
        #expect(
            eventually {
                sender.send(SpoolID(rawValue: 77_777))
                collected.read(second)
                return collected.ids.contains(SpoolID(rawValue: 77_777))
            })
    }

    @Test("without a receiver names are dropped, and the next one is reached when it comes")
    func nobody() throws {
        let folder = try ScratchFolder()
        let path = "\(folder.path)/n"
        let sender = NoticeSender(socketPath: path, directory: "router")
        for id in ids(1000) { sender.send(id) }
        sender.send(ids(3000))
        let receiver = try NoticeReceiver(socketPath: path)
        var collected = Collected()
        #expect(
            eventually {
                sender.send(SpoolID(rawValue: 88_888))
                collected.read(receiver)
                return collected.ids.contains(SpoolID(rawValue: 88_888))
            })
    }

    @Test("a datagram that is too long, or no notice, means a look")
    func foreign() throws {
        let folder = try ScratchFolder()
        let path = "\(folder.path)/n"
        let receiver = try NoticeReceiver(socketPath: path)
        let socket = cposix_unix_connect(path, Int32(SOCK_DGRAM.rawValue), 0)
        try #require(socket >= 0)
        defer { close(socket) }
        let long = Array(("NEW router " + String(repeating: "1234567 ", count: 2000)).utf8)
        for text in [long, Array("hello".utf8), [], [0xff, 0x00], Array("NEW router A/77 3".utf8)] {
            #expect(Glibc.send(socket, text, text.count, 0) == text.count)
            #expect(receiver.receive() == [.scan])
        }
    }

    @Test("a socket in a folder that is not there is an error")
    func noFolder() throws {
        let folder = try ScratchFolder()
        #expect(
            try #require(throws: PostofficeError.self) { try NoticeReceiver(socketPath: "\(folder.path)/none/n") }.kind
                == .missing)
    }
}
