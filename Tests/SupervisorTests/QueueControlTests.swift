import Configuration
import Glibc
import Postoffice
import ProgramKit
import SpoolFormat
import Testing

@testable import Supervisor

@Suite("What an operator says to the queue, and reads")
struct QueueControlTests {
    @Test("a filter becomes fields; control characters are refused")
    func fields() throws {
        var filter = QueueFilter()
        #expect(filter.isEmpty && !filter.selects)
        filter.isAll = true
        #expect(!filter.isEmpty && !filter.selects)
        filter.senders = ["a@*", "<>"]
        filter.older = "3d"
        #expect(filter.fields == ["sender=a@*", "sender=<>", "older=3d", "all"])
        #expect(
            try QueueQuestion.line(["operate", "hold"], filter.fields)
                == "operate\thold\tsender=a@*\tsender=<>\tolder=3d\tall")
        #expect(try QueueQuestion.line(["suspensions"], []) == "suspensions\t")
        for text in ["a\tb", "a\nflush", "\u{1b}[2J"] {
            #expect(throws: QueueQuestion.Problem.self) { try QueueQuestion.line(["select"], ["sender=\(text)"]) }
        }
    }

    @Test("what was done is said in words, with what an agent has in hand")
    func words() throws {
        func text(_ json: String, _ verb: QueueControl.Verb) throws -> String {
            QueueControl.text(try JSONValue(parsing: json.utf8), verb)
        }
        let done = #"{"dry_run":false,"messages":3,"recipients":5,"in_hand":2,"unchanged":1}"#
        #expect(
            try text(done, .remove)
                == "messages removed: 3, recipients: 5; recipients left as they were: 1; an agent has 2 of them: they may be "
                + "delivered still, and what is not is gone afterwards")
        let unwritten = #"{"dry_run":false,"messages":1,"recipients":1,"in_hand":0,"unchanged":0,"not_stored":"full"}"#
        #expect(try text(unwritten, .remove) == "messages removed: 1, recipients: 1; a restart may undo it: full")
        let planned = #"{"dry_run":true,"messages":3,"recipients":5,"in_hand":0,"unchanged":0}"#
        #expect(try text(planned, .hold) == "messages would be held: 3, recipients: 5")
        #expect(try text(#"{"messages":0}"#, .bounce) == "nothing in the queue is meant")
    }

    @Test("a suspension is a line; strangers' texts do not move the cursor")
    func suspension() throws {
        let value = try JSONValue(
            parsing:
                #"{"suspension":7,"channel":null,"host":"*.x\u001b","sender":"<>","recipient":null,"since":1,"until":4600,"by":"alice","reason":"why","messages":2,"recipients":3}"#
                .utf8)
        #expect(
            SuspensionListing(now: 1000).line(value)
                == "7    host=*.x? sender=<>, ends in 1h00m, messages: 2, recipients: 3, by alice: why")
    }

    @Test("the screen of top shows the largest destinations and no more lines than asked for")
    func top() throws {
        let threads = try (1...5).map { number in
            try JSONValue(
                parsing: """
                    {"channel":"smtp","host":"h\(number).test","recipients":\(number),"messages":\(number),"active":0,"held":1,
                     "oldest":400,"next_attempt":1060,"status":"4.4.1","last":"\\u001b[31m\(String(repeating: "x", count: 300))"}
                    """.utf8)
        }
        let status = try JSONValue(parsing: #"{"messages":15,"recipients":15,"threads":5,"uptime":60}"#.utf8)
        let screen = QueueTop.screen(status, threads, unrouted: [], lines: 2, now: 1000)
        let lines = screen.split(separator: "\n").map(String.init)
        #expect(lines[0].hasPrefix("Msgs: 15 Rcpnts: 15 Thrds: 5"))
        #expect(lines[2].hasPrefix("     5      5      0      1      10m       1m smtp/h5.test  4.4.1 ?[31mxxx"))
        #expect(lines[3].contains("h4.test"))
        #expect(lines[4] == "… and 3 more destinations")
        #expect(lines.allSatisfy { $0.count <= 200 })
    }

    // MARK: Files

    final class Scene {
        let root: String
        let postoffice: Postoffice

        init() throws {
            var template = Array("/tmp/zq-XXXXXX".utf8CString)
            try #require(mkdtemp(&template) != nil)
            root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            postoffice = try Postoffice("\(root)/po", creating: true)
        }

        deinit { system("rm -rf '\(root)'") }

        var environment: ZEnvironment { ZEnvironment(values: ["POSTOFFICE": "\(root)/po"]) }

        func read(_ path: String) -> String {
            (try? FileOctets.read("\(root)/\(path)", limit: 1 << 20)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        }

        func write(_ text: String, to path: String) throws {
            let file = try #require(fopen("\(root)/\(path)", "w"))
            fputs(text, file)
            fclose(file)
        }

        /// Routed to a, whose mail is delivered, and b.
        func queue() throws -> SpoolID {
            let id = postoffice.newID()
            var envelope = MessageEnvelope()
            envelope.sender = "s@x.test"
            envelope.isExternal = true
            envelope.recipients = [EnvelopeRecipient(address: "a@a.test"), EnvelopeRecipient(address: "b@b.test")]
            let content = "Subject: s\r\n\r\nbody\r\n"
            envelope.traits = MessageTraits(size: content.utf8.count)
            let head = envelope.encoded()
            try postoffice.submit(id, [head, Array(content.utf8)])
            _ = try postoffice.claimForQueue(id)
            var file = ControlFile(
                id: id, headerStart: head.count, bodyOffset: head.count + 14,
                messageSize: head.count + content.utf8.count,
                logID: "",
                groups: [
                    ControlGroup(
                        sender: Quad(channel: "smtp", host: "-", user: "s@x.test", privilege: 0), errorsTo: "s@x.test",
                        recipients: ["a", "b"].map { name in
                            ControlRecipient(
                                quad: Quad(
                                    channel: "smtp", host: "\(name).test", user: "\(name)@\(name).test", privilege: 0),
                                envelopeRecipient: "\(name)@\(name).test")
                        })
                ])
            try postoffice.writeControl(id, file.encodeHead())
            try postoffice.settle([id])
            let recipient = file.groups[0].recipients[0]
            let record = ResultRecord(
                offset: recipient.offset, headerOffset: -1, notaryOffset: recipient.notaryOffset, time: 1,
                notary: Notary(finalRecipient: "a@a.test", action: .relayed, status: "2.0.0"), message: "",
                isReported: true)
            try postoffice.append([(record, .delivered)], to: id, sync: false)
            return id
        }
    }

    @Test("an exported file names what is undone, and another queue takes it octet for octet")
    func transfer() throws {
        let scene = try Scene()
        let id = try scene.queue()
        try #require(mkdir("\(scene.root)/out", 0o700) == 0)
        #expect(QueueTransfer.write(scene.postoffice, id, to: "\(scene.root)/out", isComplete: true) == nil)
        let text = scene.read("out/\(id).mail")
        #expect(
            text.hasSuffix("todsn NOTIFY=FAILURE,DELAY\nto b@b.test\nenv-end\nSubject: s\r\n\r\nbody\r\n"), "\(text)")
        #expect(!text.contains("a@a.test"))
        #expect(text.contains("\nexternal\n"))
        let other = try Scene()
        #expect(QueueTransfer.import(other.environment, ["\(scene.root)/out"], removes: false) == .ok)
        let new = try #require(try other.postoffice.entries(.router).first)
        #expect(other.read("po/router/\(new)") == text)
        // Each import has a generator of its own, and names of one process differ by their millisecond.
        var now = timespec()
        repeat {
            clock_gettime(CLOCK_REALTIME, &now)
        } while Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000 <= new.milliseconds
        #expect(QueueTransfer.import(other.environment, ["\(scene.root)/out/\(id).mail"], removes: true) == .ok)
        #expect(access("\(scene.root)/out/\(id).mail", F_OK) != 0)
        #expect(try other.postoffice.entries(.router).count == 2)
    }

    @Test(
        "what is no whole message is not taken, and stays",
        arguments: [
            ("", "is no message file"), ("Subject: mail\n\nbody\n", "is no message file"),
            ("from a@b\nenv-end\nSubject: x\n", "names no recipient"),
            (
                "format crlf\ntraits size=0000000000000000099 dot=0 8bit=0 longest=0000000010\nfrom a@b\nto c@d\nenv-end\nS: x\r\n",
                "is a part of a message"
            ),
            ("from a@b\nto c@d", "is no message file"),
        ])
    func refused(text: String, reason: String) throws {
        let scene = try Scene()
        try scene.write(text, to: "file.mail")
        guard case .failure(let problem) = QueueTransfer.take("\(scene.root)/file.mail", into: scene.postoffice) else {
            Issue.record("it was taken")
            return
        }
        #expect(problem.reason.hasPrefix(reason), "\(problem.reason)")
        #expect(try scene.postoffice.entries(.router).isEmpty)
        #expect(QueueTransfer.import(scene.environment, ["\(scene.root)/file.mail"], removes: true) == .dataError)
        #expect(access("\(scene.root)/file.mail", F_OK) == 0)
        #expect(QueueTransfer.import(scene.environment, ["/dev/zero"], removes: false) == .dataError)
    }

    @Test("what the router put off, or was put aside, is routed now; copies and control files are not")
    func resubmit() throws {
        let scene = try Scene()
        let postoffice = scene.postoffice
        var ids: [SpoolID] = []
        for suffix in ["deferred", ":poison", ":control", ":error-on-error"] {
            let id = postoffice.newID()
            ids.append(id)
            try postoffice.submit(id, [Array("from a@b\nto c@d\nenv-end\n".utf8)])
            let isDeferred = suffix == "deferred"
            try postoffice.move(
                id, from: .router, to: isDeferred ? .deferred : .postman, suffix: isDeferred ? "" : suffix)
        }
        #expect(try postoffice.entries(.router).isEmpty)
        #expect(QueueTransfer.resubmit(scene.environment, []) == .ok)
        #expect(try postoffice.entries(.router) == [ids[0]])
        #expect(QueueTransfer.resubmit(scene.environment, ids.map(\.description)) == .noInput)
        #expect(try postoffice.entries(.router) == [ids[0], ids[1]])
    }
}
