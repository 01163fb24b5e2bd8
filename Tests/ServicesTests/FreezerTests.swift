import Configuration
import Glibc
import ProgramKit
import SpoolFormat
import Telemetry
import Testing

@testable import Freezer
@testable import Postoffice

/// A spool with a freezer and its log.
private struct Scene {
    let spool: PostofficeFixture
    let folder: ScratchFolder
    let freezer: Freezer

    init(patience: Int64 = 1000) throws {
        spool = try PostofficeFixture()
        folder = try ScratchFolder()
        let log = try EventLog(program: "zmailer", destination: .file("\(folder.path)/log"))
        freezer = Freezer(
            postoffice: spool.postoffice, hostName: "mx.example.test", mailshare: folder.path, log: log,
            actor: "tester", patience: patience)
    }

    /// Seconds that its name and its note are old.
    @discardableResult
    func freeze(
        from sender: String? = "a@b.test",
        to recipients: [EnvelopeRecipient] = [EnvelopeRecipient(address: "x@y.test")],
        age: Int64 = 0, reason: String = "freezenet + via [192.0.2.1]",
        _ change: (inout MessageEnvelope) -> Void = { _ in }
    ) throws -> SpoolID {
        let fresh = spool.postoffice.newID()
        let id = SpoolID(rawValue: fresh.rawValue - UInt64(age * 1000) << 22)
        var envelope = MessageEnvelope()
        envelope.sender = sender
        envelope.recipients = recipients
        let content = Array("Subject: lost cause\r\nMessage-Id: <one@b.test>\r\n\r\nsecret body\r\n".utf8)
        envelope.traits = MessageTraits(size: content.count, longestLine: 28)
        change(&envelope)
        try spool.postoffice.submit(
            id, [envelope.encoded(), content],
            to: .freezer(FreezeNote(code: 1, time: Int64(time(nil)) - age, reason: reason)))
        return id
    }

    /// The one message of `router/`.
    func report() throws -> (envelope: MessageEnvelope, text: String) {
        let id = try #require(try spool.postoffice.entries(.router).first)
        let octets = try spool.postoffice.read(.router, id, limit: 1 << 20)
        let (envelope, start) = try MessageEnvelope.parse(octets)
        return (envelope, String(decoding: octets[start...], as: UTF8.self))
    }

    var log: String {
        get throws { String(decoding: try FileOctets.read("\(folder.path)/log", limit: 1 << 20), as: UTF8.self) }
    }
}

@Suite("Ways out of the freezer")
struct FreezerTests {
    @Test(
        "a frozen message is told with envelope, header and reason, however long its envelope is", arguments: [1, 3000])
    func message(recipients: Int) throws {
        let scene = try Scene()
        let id = try scene.freeze(to: (0..<recipients).map { EnvelopeRecipient(address: "user\($0)@y.test") })
        let message = try scene.freezer.message(id)
        #expect(message.envelope?.sender == "a@b.test" && message.envelope?.recipients.count == recipients)
        #expect(message.reason == "freezenet + via [192.0.2.1]" && message.problem == nil && message.isWhole)
        #expect(
            String(decoding: message.header, as: UTF8.self)
                == "Subject: lost cause\r\nMessage-Id: <one@b.test>\r\n")
        #expect(try scene.freezer.messages() == [id])
    }

    @Test("what is no message file is told as that, and can be dropped but not returned")
    func noMessageFile() throws {
        let scene = try Scene()
        let id = scene.spool.postoffice.newID()
        try scene.spool.postoffice.submit(
            id, [Array("\u{1b}[2J\n".utf8)], to: .freezer(FreezeNote(code: 1, time: 1, reason: "x")))
        let message = try scene.freezer.message(id)
        #expect(message.envelope == nil && message.problem?.hasPrefix("no message file: ") == true)
        #expect(message.header.isEmpty)
        #expect(throws: Freezer.Failure.self) { try scene.freezer.bounce(id) }
        #expect(scene.spool.places(id) == [.freezer])
        try scene.freezer.drop(id)
        #expect(scene.spool.names(.freezer).isEmpty)
    }

    @Test("each way out is one line of the log")
    func logged() throws {
        let scene = try Scene()
        let ids = try (0..<3).map { _ in try scene.freeze() }
        try scene.freezer.release(ids[0])
        try scene.freezer.drop(ids[1])
        let report = try #require(try scene.freezer.bounce(ids[2]))
        #expect(scene.spool.names(.freezer).isEmpty)
        #expect(scene.spool.names(.router) == ["\(ids[0])", "\(report.id)"].sorted())
        let lines = try scene.log.split(separator: "\n")
        #expect(lines.count == 3)
        let why = #"reason="freezenet + via [192.0.2.1]""#
        for (line, wanted) in zip(
            lines,
            [
                ["notice freezer-released queue-id=\(ids[0]) by=tester from=<a@b.test> ", why],
                ["notice freezer-dropped queue-id=\(ids[1]) by=tester from=<a@b.test> nrcpt=1 ", why],
                [
                    "notice freezer-bounced queue-id=\(ids[2]) by=tester to=a@b.test report-id=\(report.id) recipients=1 ",
                    why,
                ],
            ])
        {
            for text in wanted { #expect(line.contains(text), "\(line)") }
        }
    }

    @Test("what is not there is said to be not there")
    func unknown() throws {
        let scene = try Scene()
        let id = SpoolID(rawValue: 17)
        for action in [
            { _ = try scene.freezer.message(id) }, { try scene.freezer.release(id) }, { try scene.freezer.drop(id) },
            { _ = try scene.freezer.bounce(id) },
        ] as [() throws -> Void] {
            let error = #expect(throws: Freezer.Failure.self) { try action() }
            #expect(error?.description == "17 is not in the freezer")
        }
    }

    @Test("the sender is told 5.7.1 and why, for the recipients of which he wants to know")
    func bounce() throws {
        let scene = try Scene()
        let recipients = [
            EnvelopeRecipient(address: "one@y.test", originalRecipient: "rfc822;first@old.test"),
            EnvelopeRecipient(address: "two@y.test", notify: .never),
            EnvelopeRecipient(address: "three@y.test", notify: [.success, .failure]),
            EnvelopeRecipient(address: "four@y.test", notify: .success),
        ]
        let id = try scene.freeze(to: recipients) {
            $0.envelopeID = "env+2B7"
            $0.notaryReturn = .full
        }
        let report = try #require(try scene.freezer.bounce(id))
        #expect(report.recipients == 2 && report.to == "a@b.test")
        let (envelope, text) = try scene.report()
        #expect(envelope.isErrorMessage && envelope.sender == nil)
        #expect(envelope.recipients.map(\.address) == ["a@b.test"])
        #expect(envelope.traits?.size == text.utf8.count)
        for wanted in [
            "multipart/report", "Action: failed", "Status: 5.7.1", "Final-Recipient: rfc822; one@y.test",
            "Original-Recipient: rfc822; first@old.test", "Final-Recipient: rfc822; three@y.test",
            "freezenet + via [192.0.2.1]", "Original-Envelope-Id: env+7", "Subject: lost cause", "secret body",
            "In-Reply-To: <one@b.test>", "Reporting-MTA: dns; mx.example.test",
        ] {
            #expect(text.contains(wanted), "\(wanted) is missing in\n\(text)")
        }
        #expect(!text.contains("two@y.test") && !text.contains("four@y.test"))
    }

    @Test("the text of a report can be changed, and RET=HDRS returns no body")
    func form() throws {
        let scene = try Scene()
        try #require(mkdir("\(scene.folder.path)/forms", 0o755) == 0)
        try scene.folder.write("forms/frozen", "SUB Not wanted\n\nThe post office says no.\n")
        let id = try scene.freeze { $0.notaryReturn = .headers }
        _ = try scene.freezer.bounce(id)
        let text = try scene.report().text
        #expect(text.contains("Subject: Not wanted [FAILED(1)]") && text.contains("The post office says no."))
        #expect(text.contains("Subject: lost cause") && !text.contains("secret body"))
    }

    @Test("with nobody who wants to know there is no report, and the message is dropped")
    func unwanted() throws {
        let scene = try Scene()
        let id = try scene.freeze(to: [EnvelopeRecipient(address: "x@y.test", notify: .never)])
        #expect(try scene.freezer.bounce(id) == nil)
        #expect(scene.spool.names(.freezer).isEmpty && scene.spool.names(.router).isEmpty)
        #expect(try scene.log.contains(" report-id=- recipients=0 "))
    }

    @Test("a message from nobody, and a part of one, stay when they are to be returned", arguments: [true, false])
    func nobody(isPart: Bool) throws {
        let scene = try Scene()
        let id = try scene.freeze(from: isPart ? "a@b.test" : nil) {
            if isPart { $0.traits = MessageTraits(size: 10_000) }
        }
        let error = #expect(throws: Freezer.Failure.self) { try scene.freezer.bounce(id) }
        #expect(error?.description.contains("stays") == true)
        #expect(scene.spool.places(id) == [.freezer] && scene.spool.names(.router).isEmpty)
    }

    @Test("while another program works on the freezer nothing changes, and that is said")
    func busy() throws {
        let scene = try Scene(patience: 50)
        let id = try scene.freeze()
        let lock = try FreezerLock(scene.spool.postoffice, milliseconds: 0)
        defer { lock.end() }
        let error = #expect(throws: Freezer.Failure.self) { try scene.freezer.drop(id) }
        guard case .busy? = error else { return #expect(Bool(false), "\(String(describing: error))") }
        #expect(scene.spool.places(id) == [.freezer])
    }

    @Test("only what is too old goes, and as it is wanted", arguments: FreezerAgeing.Action.allCases)
    func ageing(action: FreezerAgeing.Action) throws {
        let scene = try Scene()
        let old = try scene.freeze(age: 7200)
        let young = try scene.freeze(age: 3000)
        let now = Int64(time(nil))
        scene.freezer.tidy(FreezerAgeing(maximumAge: 3600, action: action), now: now)
        #expect(scene.spool.names(.freezer) == ["\(young)", "\(young).reason"])
        let routed = try scene.spool.postoffice.entries(.router)
        switch action {
        case .drop: #expect(routed.isEmpty)
        case .release: #expect(routed == [old])
        case .bounce:
            #expect(routed.count == 1 && routed != [old])
            #expect(try scene.report().text.contains("Status: 5.7.1"))
        }
        #expect(try scene.log.split(separator: "\n").count == 1)
        #expect(try scene.log.contains("queue-id=\(old) by=tester"))
        scene.freezer.tidy(nil, now: now + 1_000_000)
        #expect(scene.spool.places(young) == [.freezer], "without an age nothing is too old")
    }

    @Test("it counts from the freezing: what was frozen late, or moved here by hand, is not old")
    func frozenLate() throws {
        let scene = try Scene()
        let late = try scene.freeze(age: 7200)
        try #require(unlink(scene.spool.postoffice.notePath(late)) == 0)
        let now = Int64(time(nil))
        let ageing = FreezerAgeing(maximumAge: 3600)
        scene.freezer.tidy(ageing, now: now)
        #expect(scene.spool.places(late) == [.freezer])
        scene.freezer.tidy(ageing, now: now + 3700)
        #expect(scene.spool.places(late).isEmpty)
    }

    @Test("what cannot be returned when it is too old is dropped")
    func agedFromNobody() throws {
        let scene = try Scene()
        try scene.freeze(from: nil, age: 7200)
        scene.freezer.tidy(FreezerAgeing(maximumAge: 3600, action: .bounce), now: Int64(time(nil)))
        #expect(scene.spool.names(.freezer).isEmpty && scene.spool.names(.router).isEmpty)
        #expect(try scene.log.contains("freezer-dropped"))
    }

    @Test("tidying completes a release that died, removes old notes, and stops when it is told")
    func tidying() throws {
        let scene = try Scene()
        let released = try scene.freeze()
        try scene.spool.postoffice.stageRelease(released)
        try scene.spool.postoffice.leaveFreezer(released)
        let orphan = try scene.freeze()
        try #require(unlink(scene.spool.postoffice.path(.freezer, orphan)) == 0)
        let old = try scene.freeze(age: 7200)
        let now = Int64(time(nil)) + Postoffice.orphanNoteAge + 10
        scene.freezer.tidy(FreezerAgeing(maximumAge: 60), now: now) { true }
        #expect(scene.spool.names(.router) == ["\(released)"])
        #expect(scene.spool.names(.freezer) == ["\(old)", "\(old).reason"])
        #expect(try scene.log.contains("freezer-released queue-id=\(released) by=tester completes="))
        #expect(try scene.log.contains("removed file=freezer/\(orphan).reason"))
    }

    @Test("the message without its envelope is copied as it came")
    func content() throws {
        let scene = try Scene()
        let id = try scene.freeze()
        let path = "\(scene.folder.path)/copy"
        let output = open(path, O_WRONLY | O_CREAT, 0o600)
        try scene.freezer.copyContent(of: id, to: output)
        close(output)
        #expect(
            try FileOctets.read(path, limit: 1000)
                == Array("Subject: lost cause\r\nMessage-Id: <one@b.test>\r\n\r\nsecret body\r\n".utf8))
    }
}
