import CPosix
import ChildProcesses
import Glibc
import Synchronization
import Testing

private final class Pipe {
    let reading: Int32
    private(set) var writing: Int32
    init() throws {
        var fds: [Int32] = [-1, -1]
        try #require(cposix_pipe(&fds) == 0)
        (reading, writing) = (fds[0], fds[1])
    }
    func fill() { _ = write(writing, "x", 1) }
    func hangUp() {
        if writing >= 0 { close(writing) }
        writing = -1
    }
    deinit {
        hangUp()
        close(reading)
    }
}

@Suite("The poller") struct PollerTests {
    @Test("a handler is called while its descriptor is ready and not before")
    func readiness() throws {
        let poller = Poller()
        let pipe = try Pipe()
        var seen: [Poller.Interest] = []
        #expect(poller.add(pipe.reading, .read) { seen.append($0) })
        poller.wait(milliseconds: 0)
        #expect(seen.isEmpty)
        pipe.fill()
        poller.wait(milliseconds: 1000)
        poller.wait(milliseconds: 1000)
        #expect(seen == [.read, .read])
        var octet: UInt8 = 0
        _ = read(pipe.reading, &octet, 1)
        poller.wait(milliseconds: 0)
        #expect(seen.count == 2)
        pipe.hangUp()
        poller.wait(milliseconds: 1000)
        #expect(seen.last == [.read, .write])
        poller.remove(pipe.reading)
        poller.remove(pipe.reading)
        poller.wait(milliseconds: 0)
        #expect(seen.count == 3)
    }

    @Test("interest can be changed")
    func change() throws {
        let poller = Poller()
        let pipe = try Pipe()
        var seen = 0
        #expect(poller.add(pipe.writing, .read) { _ in seen += 1 })
        poller.wait(milliseconds: 0)
        #expect(seen == 0)
        poller.change(pipe.writing, .write)
        poller.wait(milliseconds: 1000)
        #expect(seen == 1)
    }

    @Test("what the kernel refuses is told: a file, a closed descriptor, one added twice")
    func refused() throws {
        let poller = Poller()
        let folder = try ScratchFolder()
        try folder.write("f", "")
        let file = cposix_open("\(folder.path)/f", O_RDONLY, 0)
        defer { close(file) }
        #expect(!poller.add(file, .read) { _ in })
        #expect(!poller.add(99_999, .read) { _ in })
        let pipe = try Pipe()
        #expect(poller.add(pipe.reading, .read) { _ in })
        #expect(!poller.add(pipe.reading, .read) { _ in })
    }

    @Test("a handler that removes another one is obeyed at once")
    func removal() throws {
        let poller = Poller()
        let pipes = [try Pipe(), try Pipe()]
        var called = 0
        for (index, pipe) in pipes.enumerated() {
            pipe.fill()
            #expect(
                poller.add(pipe.reading, .read) { _ in
                    called += 1
                    poller.remove(pipes[1 - index].reading)
                })
        }
        poller.wait(milliseconds: 1000)
        #expect(called == 1)
    }

    @Test("an event of a closed descriptor does not reach the one that has its number now")
    func reuse() throws {
        let poller = Poller()
        let pipes = [try Pipe(), try Pipe()]
        let fresh = try Pipe()
        var calls: [String] = []
        for (index, pipe) in pipes.enumerated() {
            pipe.fill()
            let other = pipes[1 - index].reading
            #expect(
                poller.add(pipe.reading, .read) { _ in
                    calls.append("old")
                    if calls.count > 1 { return }
                    poller.remove(other)
                    // The number stays, what is behind it changes.
                    _ = dup2(fresh.reading, other)
                    if !poller.add(other, .read, { _ in calls.append("new") }) { Issue.record("refused") }
                })
        }
        poller.wait(milliseconds: 1000)
        #expect(calls == ["old"])
        fresh.fill()
        poller.wait(milliseconds: 1000)
        #expect(calls.contains("new"))
    }

    @Test("hundreds of descriptors are all served")
    func many() throws {
        let poller = Poller()
        let pipes = try (0..<300).map { _ in try Pipe() }
        var served: Set<Int32> = []
        for pipe in pipes {
            pipe.fill()
            #expect(
                poller.add(pipe.reading, .read) { _ in
                    served.insert(pipe.reading)
                    poller.remove(pipe.reading)
                })
        }
        for _ in 0..<10 { poller.wait(milliseconds: 0) }
        #expect(served.count == 300)
    }

    @Test("signals come out of a descriptor, in the thread that blocked them")
    func signals() {
        onThreads(1) { _ in
            let source = SignalSource([SIGUSR1, SIGUSR2])
            #expect(source.next() == nil)
            pthread_kill(pthread_self(), SIGUSR1)
            pthread_kill(pthread_self(), SIGUSR2)
            var ready = false
            let poller = Poller()
            #expect(poller.add(source.descriptor, .read) { _ in ready = true })
            poller.wait(milliseconds: 1000)
            #expect(ready)
            #expect(Set([source.next(), source.next()]) == [SIGUSR1, SIGUSR2])
            #expect(source.next() == nil)
        }
    }
}
