import Glibc
import Testing

@testable import PolicyEngine

@Suite("Greylist")
struct GreylistTests {
    static let day: Int64 = 86_400

    private func greylist(
        _ scratch: Scratch, _ access: Greylist.Access = .writing, fileLimit: Int = 1000
    ) -> Greylist {
        Greylist(path: "\(scratch.path)/.greylist", access: access, fileLimit: fileLimit, log: scratch.log)
    }

    @Test("what was seen is known with its first time, what was not is not")
    func sighting() throws {
        let scratch = try Scratch()
        let greylist = greylist(scratch)
        #expect(greylist.firstSeen("a", now: 100) == nil)
        greylist.saw("a", now: 100)
        greylist.saw("a", now: 200)
        #expect(greylist.firstSeen("a", now: 300) == 100)
        #expect(greylist.firstSeen("b", now: 300) == nil)
    }

    @Test("a restart forgets nothing")
    func restart() throws {
        let scratch = try Scratch()
        do {
            let greylist = greylist(scratch)
            for number in 0..<500 { greylist.saw("name \(number)", now: Int64(number)) }
        }
        let again = greylist(scratch)
        for number in 0..<500 { #expect(again.firstSeen("name \(number)", now: 1000) == Int64(number)) }
        #expect(again.firstSeen("name 500", now: 1000) == nil)
        #expect(scratch.logText == "")
    }

    @Test("36 days after the last sight it is new again; each sight prolongs")
    func expiry() throws {
        let scratch = try Scratch()
        let greylist = greylist(scratch)
        greylist.saw("once", now: 0)
        greylist.saw("often", now: 0)
        for day in 1...40 as ClosedRange<Int64> { greylist.saw("often", now: day * Self.day) }
        #expect(greylist.firstSeen("once", now: 36 * Self.day) == 0)
        #expect(greylist.firstSeen("once", now: 36 * Self.day + 1) == nil)
        #expect(greylist.firstSeen("often", now: 70 * Self.day) == 0)
        greylist.saw("once", now: 50 * Self.day)
        #expect(greylist.firstSeen("once", now: 51 * Self.day) == 50 * Self.day)
    }

    @Test("two files at most, whatever strangers send; what is used stays")
    func bound() throws {
        let scratch = try Scratch()
        var greylist = greylist(scratch, fileLimit: 100)
        greylist.saw("friend", now: 0)
        for number in 1...1000 as ClosedRange<Int64> {
            greylist.saw("stranger \(number)", now: number * 3600)
            if number % 25 == 0 {
                greylist = self.greylist(scratch, fileLimit: 100)
                greylist.saw("friend", now: number * 3600)
                #expect(greylist.firstSeen("friend", now: number * 3600) == 0, "at \(number)")
            }
        }
        greylist = self.greylist(scratch, fileLimit: 100)
        #expect(greylist.firstSeen("stranger 1", now: 1000 * 3600) == nil)
        #expect(greylist.firstSeen("stranger 1000", now: 3_600_000) == 3_600_000 as Int64)
        #expect(
            Scratch.names(scratch.path).filter { $0.hasPrefix(".greylist") } == [
                ".greylist-old.gdbm", ".greylist.gdbm",
            ])
        #expect(scratch.logText == "")
    }

    @Test("a file that is no database, or cut, is set aside and a new one begun", arguments: ["text", "cut", "empty"])
    func broken(kind: String) throws {
        let scratch = try Scratch()
        do {
            let greylist = greylist(scratch)
            for number in 0..<2000 { greylist.saw("name \(number)", now: 1) }
        }
        let path = "\(scratch.path)/.greylist.gdbm"
        switch kind {
        case "text": scratch.write(String(repeating: "no database\n", count: 1000), to: ".greylist.gdbm")
        case "cut": #expect(truncate(path, 5000) == 0)
        default: #expect(truncate(path, 0) == 0)
        }
        do {
            let greylist = greylist(scratch)
            // A cut file may show only at some of its keys.
            for number in 0..<2000 { greylist.saw("name \(number)", now: 50) }
            for number in 0..<2000 { #expect(greylist.firstSeen("name \(number)", now: 60) != nil) }
        }
        let again = self.greylist(scratch)
        #expect(again.firstSeen("name 1999", now: 60) != nil)
        if kind != "empty" {
            #expect(Scratch.names(scratch.path).contains(".greylist.gdbm.broken"))
            #expect(scratch.logLines("greylist-broken").count >= 1)
        }
    }

    @Test("a header whose end of the file is far away does not fill the disk", arguments: [36, 38, 39])
    func farEnd(octet: Int) throws {
        let scratch = try Scratch()
        do { greylist(scratch).saw("name", now: 1) }
        let path = "\(scratch.path)/.greylist.gdbm"
        let file = open(path, O_RDWR)
        var value: UInt8 = 0x80
        #expect(pwrite(file, &value, 1, off_t(octet)) == 1)
        close(file)
        greylist(scratch).saw("other", now: 2)
        #expect(greylist(scratch).firstSeen("other", now: 3) == 2)
        #expect(Scratch.names(scratch.path).contains(".greylist.gdbm.broken"))
        #expect(scratch.logText.contains("far behind the file's"))
        var info = stat()
        #expect(stat(path, &info) == 0 && info.st_size < 1 << 20)
    }

    @Test("a record that was changed is no sighting")
    func tampered() throws {
        let scratch = try Scratch()
        do { greylist(scratch).saw("name", now: 0x1122_3344_5566) }
        var octets = try #require(read(scratch, ".greylist.gdbm"))
        let pattern: [UInt8] = [0, 0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66]
        let places = (0..<(octets.count - 8)).filter { Array(octets[$0..<($0 + 8)]) == pattern }
        #expect(places.count == 3, "the header's time and both of the record")
        for place in places { octets[place + 7] = 0x60 }
        let descriptor = open("\(scratch.path)/.greylist.gdbm", O_WRONLY)
        #expect(write(descriptor, octets, octets.count) == octets.count)
        close(descriptor)
        #expect(greylist(scratch).firstSeen("name", now: 0x1122_3344_5566) == nil)
    }

    private func read(_ scratch: Scratch, _ name: String) -> [UInt8]? {
        let descriptor = open("\(scratch.path)/\(name)", O_RDONLY)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var octets = [UInt8](repeating: 0, count: 1 << 20)
        let count = Glibc.read(descriptor, &octets, octets.count)
        return count < 0 ? nil : Array(octets[..<count])
    }

    @Test("without files it works in memory, says so once, and uses them when it can")
    func unavailable() throws {
        let scratch = try Scratch()
        let greylist = Greylist(path: "\(scratch.path)/gone/.greylist", access: .writing, log: scratch.log)
        greylist.saw("a", now: 100)
        greylist.saw("b", now: 101)
        #expect(greylist.firstSeen("a", now: 102) == 100)
        #expect(scratch.logLines("greylist-unavailable").count == 1)
        #expect(mkdir("\(scratch.path)/gone", 0o755) == 0)
        greylist.saw("c", now: 110)
        #expect(Scratch.names("\(scratch.path)/gone").isEmpty)
        greylist.saw("d", now: 200)
        #expect(Scratch.names("\(scratch.path)/gone") == [".greylist.gdbm"])
        #expect(scratch.logLines("greylist-back").count == 1)
        #expect(greylist.firstSeen("a", now: 201) == 100)
    }

    @Test("a second process reads what the first has written, and writes nothing")
    func reader() throws {
        let scratch = try Scratch()
        let empty = greylist(scratch, .reading)
        empty.saw("unwritten", now: 1)
        #expect(empty.firstSeen("unwritten", now: 2) == 1)
        #expect(!Scratch.names(scratch.path).contains(".greylist.gdbm"))
        let writer = greylist(scratch)
        writer.saw("a", now: 100)
        let reader = greylist(scratch, .reading)
        #expect(reader.firstSeen("a", now: 101) == 100)
        reader.saw("b", now: 102)
        writer.saw("c", now: 103)
        #expect(writer.firstSeen("b", now: 104) == nil)
        #expect(scratch.logText == "")
    }

    @Test("two writers do not share the file: the second works in memory")
    func twoWriters() throws {
        let scratch = try Scratch()
        let first = greylist(scratch)
        first.saw("a", now: 1)
        let second = greylist(scratch)
        second.saw("b", now: 2)
        #expect(second.firstSeen("b", now: 3) == 2)
        #expect(scratch.logLines("greylist-unavailable").count == 1)
        #expect(first.firstSeen("a", now: 3) == 1)
        #expect(Scratch.names(scratch.path).allSatisfy { !$0.hasSuffix(".broken") })
    }
}
