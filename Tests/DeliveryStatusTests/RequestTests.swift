import DeliveryStatus
import MailModel
import SpoolFormat
import Testing

@Suite("What was asked for with a message shows in reports about it")
struct RequestTests {
    @Test("the deliver-by-time and the wish for a later release stand behind the arrival")
    func fields() {
        var report = sampleReport()
        report.original.deliverBy = 1_795_239_000
        report.original.releaseRequest = FutureRelease(at: 1_795_238_000, interval: 199).request
        let all = lines(report.composed())
        let arrival = all.firstIndex { $0.hasPrefix("Arrival-Date: ") } ?? 0
        #expect(all[arrival + 1] == "Deliver-By-Date: \(CalendarDate(unixTime: 1_795_239_000).rfc5322)")
        #expect(all[arrival + 2] == "Future-Release-Request: for;199")
        #expect(!lines(sampleReport().composed()).contains { $0.hasPrefix("Deliver-By") || $0.hasPrefix("Future") })
    }

    @Test("a report has the priority of its message, and goes over TLS like it")
    func envelope() throws {
        var report = sampleReport()
        #expect(report.composed().envelope.priority == nil)
        #expect(!report.composed().envelope.requiresTLS)
        report.original.priority = MessagePriority(7)
        report.original.requiresTLS = true
        let envelope = report.composed().envelope
        #expect(envelope.priority == MessagePriority(7))
        #expect(envelope.requiresTLS)
        #expect(try MessageEnvelope.parse(envelope.encoded()).envelope == envelope)
    }

    @Test(
        "what went over TLS only is not returned, whatever was asked for",
        arguments: [.full, .headers, nil] as [NotaryReturn?])
    func body(wish: NotaryReturn?) {
        #expect(!DeliveryReport.returnsBody(wish, hasFailure: true, size: 10, requiresTLS: true))
        #expect(DeliveryReport.returnsBody(wish, hasFailure: true, size: 10) == (wish != .headers))
    }

    @Test("all of it comes from the control file")
    func controlFile() {
        var file = ControlFile(
            id: SpoolID(rawValue: 1), headerStart: 0, bodyOffset: 0, messageSize: 1, logID: "",
            groups: [
                ControlGroup(
                    sender: Quad(channel: "smtp", host: "-", user: "s@x", privilege: 0), errorsTo: "s@x",
                    recipients: [ControlRecipient(quad: Quad(channel: "smtp", host: "a", user: "u@a", privilege: 0))])
            ])
        file.groups[0].recipients[0].deliverBy = DeliverByTime(77, .notify)
        file.release = FutureRelease(at: 0)
        file.priority = MessagePriority(-2)
        file.requiresTLS = true
        var original = DeliveryReport.Original(id: file.id, header: [], arrivalDate: 0)
        original.takeRequests(of: file)
        #expect(original.deliverBy == 77)
        #expect(original.releaseRequest == "until;1970-01-01T00:00:00Z")
        #expect(original.priority == MessagePriority(-2))
        #expect(original.requiresTLS)
    }

    @Test("a delayed recipient is told of as still in the queue")
    func delayed() {
        let late = DeliveryReport.Recipient(
            finalRecipient: "bob@remote.example", action: .delayed, status: "4.4.7",
            diagnostic: "x-local; 400 (not delivered in time)", text: "not delivered in time",
            lastAttempt: 1_795_238_800)
        let all = lines(sampleReport([late]).composed())
        #expect(all.contains("Action: delayed") && all.contains("Status: 4.4.7"))
        #expect(all.contains("DELAYED (still in queue):"))
        #expect(all.contains { $0.hasSuffix("[DELAYED(1)]") })
    }
}
