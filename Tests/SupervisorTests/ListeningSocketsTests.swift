import Testing

@testable import Supervisor

@Suite("Addresses that a process listens on")
struct ListeningSocketsTests {
    @Test("listening lines of /proc/net/tcp are read, others are not")
    func version4() {
        let text = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
               0: 0100007F:09DD 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1
               1: 0100007F:09DD 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1
               2: 00000000:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1
            """
        let found = ListeningSockets.parse(text)
        #expect(found.map { $0.address } == ["127.0.0.1:2525", "0.0.0.0:25"])
        #expect(found.map { $0.inode } == ["4711", "4713"])
    }

    @Test("addresses of IPv6 are in brackets")
    func version6() {
        let text = """
            sl local remote st
            0: 00000000000000000000000001000000:09DD 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 99 1
            """
        #expect(ListeningSockets.parse(text).map { $0.address } == ["[::1]:2525"])
    }

    @Test(
        "nonsense is nothing", arguments: ["", "one line", "a\nb c d 0A e f g h i j", "a\n0: XX:YY 0 0A 1 2 3 4 5 6 7"])
    func nonsense(text: String) { #expect(ListeningSockets.parse(text).isEmpty) }
}
