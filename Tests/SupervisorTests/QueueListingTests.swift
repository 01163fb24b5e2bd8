import Testing

@testable import Supervisor

@Suite("What mailq prints")
struct QueueListingTests {
    private let listing = QueueListing(now: 10_000)

    @Test("a message shows its sender and what is still to be done, not what is done")
    func message() throws {
        let value = try JSONValue(
            parsing: """
                {"id":"17","size":2048,"arrived":9700,"sender":"a@example.test","recipients":[
                 {"address":"b@remote.test","channel":"smtp","host":"remote.test","state":"deferred","attempts":2,
                  "next_attempt":10120,"status":"4.4.1","last":"refused"},
                 {"address":"c@remote.test","channel":"smtp","host":"remote.test","state":"delivered","attempts":1}]}
                """.utf8)
        let lines = listing.message(value).split(separator: "\n").map(String.init)
        #expect(
            lines == [
                "17                   2.0K    5m       <a@example.test>",
                "    <b@remote.test> smtp/remote.test deferred, attempts 2, next in 2m",
                "        4.4.1 refused",
            ])
    }

    @Test("what was asked for by SMTP extensions is shown with the message")
    func requests() throws {
        let value = try JSONValue(
            parsing: """
                {"id":"17","size":1,"arrived":9990,"sender":"a@b","priority":-3,"held_until":13600,"deliver_by":20000,
                 "recipients":[{"address":"b@c","channel":"smtp","host":"c","state":"held","attempts":0,
                  "next_attempt":13600,"status":"","last":""}]}
                """.utf8)
        let lines = listing.message(value).split(separator: "\n").map(String.init)
        #expect(
            lines.first?.hasSuffix(
                "<a@b>, held until 1970-01-01T03:46:40Z (1h00m), deliver by 1970-01-01T05:33:20Z, priority -3") == true)
        #expect(lines.last == "    <b@c> smtp/c held, attempts 0, next in 1h00m")
        let none = try JSONValue(
            parsing: #"{"id":"17","size":1,"arrived":1,"sender":"a@b","priority":0,"held_until":null,"recipients":[]}"#
                .utf8)
        #expect(listing.message(none).hasSuffix("<a@b>"))
        let held = try JSONValue(parsing: #"{"id":"17","arrived":1,"sender":"a@b","held_since":2800}"#.utf8)
        #expect(listing.message(held).hasSuffix("<a@b>, held for 2h00m"))
        #expect(listing.summary(try JSONValue(parsing: #"{"held":2}"#.utf8), unrouted: []).contains(" Held: 2 "))
        #expect(!listing.summary(try JSONValue(parsing: #"{"held":0}"#.utf8), unrouted: []).contains("Held"))
    }

    @Test("the null reverse-path is shown as such")
    func nullSender() throws {
        let value = try JSONValue(parsing: #"{"id":"18","size":1,"arrived":10000,"sender":"","recipients":[]}"#.utf8)
        #expect(listing.message(value).hasSuffix(" <>"))
    }

    @Test(
        "nothing that a stranger wrote can move the cursor",
        arguments: [
            ("\u{1b}[2Jboo", "?[2Jboo"), ("a\r\nb", "a??b"), ("\u{202e}abc", "?abc"), ("plain ü", "plain ü"),
        ])
    func printable(text: String, expected: String) {
        #expect(QueueListing.printable(text) == expected)
    }

    @Test(
        "times are short",
        arguments: [
            (-5, "0s"), (0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h00m"), (90_000, "1d01h"),
        ])
    func ages(seconds: Int, expected: String) { #expect(QueueListing.age(seconds) == expected) }

    @Test(
        "sizes are short",
        arguments: [
            (0, "0"), (1023, "1023"), (1024, "1.0K"), (10_239, "9.9K"), (10_240, "10K"), (1_048_576, "1.0M"),
            (52_428_800, "50M"),
        ])
    func sizes(octets: Int, expected: String) { #expect(QueueListing.size(octets) == expected) }

    @Test("lines are the same however the octets are split", arguments: 0...9)
    func split(at place: Int) {
        let octets = Array("ab\n\ncd\nrest".utf8)
        var splitter = LineSplitter()
        var lines = splitter.feed(Array(octets[..<place]))
        lines += splitter.feed(Array(octets[place...]))
        #expect(lines == [Array("ab".utf8), [], Array("cd".utf8)])
        #expect(!splitter.isEmpty)
    }
}
