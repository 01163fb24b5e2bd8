import ContentFiltering
import MailModel
import NIOCore
import Telemetry

/// The connection to one process of a content filter. Confined to the filter queue's event loop.
final class FilterProcess: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Milliseconds after the first `#hungry` in which more may follow.
    static let announcement: Int64 = 100
    /// Octets and remarks that a process may say without a result.
    private static let maximumChatter = 1 << 20
    private static let maximumRemarks = 100

    var dialogue = FilterDialogue()
    /// No more jobs: its program has changed, or it is not needed any more.
    var isRetiring = false
    /// It has been given a message.
    private var isUsed = false
    /// It was ended without a fault of its own.
    private var isDismissed = false
    private let begun = NIODeadline.now()
    /// When it had something to do last.
    private(set) var lastUse = NIODeadline.now()
    /// What was read is also in the log.
    private let trace: EventLog?
    private unowned let queue: FilterQueue
    private var context: ChannelHandlerContext?
    private var line: [UInt8] = []
    private var isCut = false
    private var chatter = 0
    private var remarks = 0
    private var startDeadline: Scheduled<Void>?
    private var hasViolated = false
    private var hasEnded = false
    var isOver: Bool { hasEnded }

    init(_ queue: FilterQueue, trace: EventLog?) {
        self.queue = queue
        self.trace = trace
    }

    /// Of one that has ended: another would hardly fare better. One that has said `#hungry`, and ends at once and without a message,
    /// would else be started again and again.
    var hasFailedToStart: Bool {
        guard !isDismissed, !isUsed else { return false }
        return !dialogue.hasServed || NIODeadline.now() - begun < .seconds(1)
    }

    /// It has a message that other processes have come to grief at, and gets no other beside it.
    var isExclusive = false
    var isFree: Bool { !isRetiring && !isExclusive && dialogue.freeCredits > 0 }
    var isIdle: Bool { dialogue.hasStarted && dialogue.openJobs.isEmpty }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let seconds = queue.startTimeout
        startDeadline = context.eventLoop.scheduleTask(in: .seconds(Int64(seconds))) {
            guard !bound.value.dialogue.hasStarted else { return }
            bound.value.end("no #hungry within \(seconds) s")
        }
    }

    func give(_ job: FilterJob) {
        guard let context else { return }
        lastUse = .now()
        isUsed = true
        chatter = 0
        remarks = 0
        let octets = dialogue.begin(job.number, path: job.path)
        trace?.info("filter-traffic", ["filter": queue.name, "sent": job.path])
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(bytes: octets)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        chatter += buffer.readableBytes
        var rest = buffer.readableBytesView[...]
        while let end = rest.firstIndex(of: 0x0a), !hasEnded {
            keep(rest[..<end])
            rest = rest[(end + 1)...]
            finishLine()
        }
        keep(rest)
        if chatter > Self.maximumChatter { violated("more than \(Self.maximumChatter) octets and no result") }
        if dialogue.isBroken, chatter > 2 * Self.maximumChatter { end("more and more octets and no result") }
    }

    private func keep(_ octets: ByteBufferView.SubSequence) {
        let room = FilterDialogue.maximumLineLength - line.count
        line.append(contentsOf: octets.prefix(room))
        if octets.count > room { isCut = true }
    }

    private func finishLine() {
        if let trace {
            trace.info(
                "filter-traffic", ["filter": queue.name, "received": Octets.cleaned(Octets.text(line.prefix(500)))])
        }
        let events = dialogue.receive(line[...], isCut: isCut)
        line.removeAll(keepingCapacity: line.capacity <= 4096)
        isCut = false
        for event in events { handle(event) }
        if !hasEnded { queue.processChanged(self) }
    }

    private func handle(_ event: FilterDialogue.Event) {
        switch event {
        case .announced:
            startDeadline?.cancel()
            guard let context else { return }
            let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
            context.eventLoop.scheduleTask(in: .milliseconds(Self.announcement)) {
                guard !bound.value.hasEnded else { return }
                bound.value.dialogue.endAnnouncement()
                bound.value.queue.processStarted(bound.value)
            }
        case .finished(let number, let answer):
            chatter = 0
            lastUse = .now()
            queue.finished(number, answer)
        case .remark(let text):
            remarks += 1
            if remarks <= Self.maximumRemarks {
                queue.log.info("filter-said", ["filter": queue.name, "text": text])
            } else if remarks == Self.maximumRemarks + 1 {
                violated("more than \(Self.maximumRemarks) remarks and no result")
            }
        case .violated(let what):
            violated(what)
        }
    }

    /// It has broken the protocol: nothing more is sent, its input ends, and what it has to say yet is heard.
    private func violated(_ what: String) {
        guard !hasEnded, !hasViolated else { return }
        hasViolated = true
        dialogue.giveUp()
        queue.log.warning("filter-violation", ["filter": queue.name, "reason": what])
        isRetiring = true
        if dialogue.openJobs.isEmpty { end(what) } else { context?.close(mode: .output, promise: nil) }
    }

    /// The job is waited for no more.
    func forget(_ number: Int) {
        dialogue.forget(number)
        isRetiring = true
        if dialogue.openJobs.isEmpty { end("no answer in time") }
    }

    func dismiss(_ reason: String) {
        isDismissed = true
        end(reason)
    }

    func end(_ reason: String) {
        guard !hasEnded else { return }
        hasEnded = true
        startDeadline?.cancel()
        context?.close(promise: nil)
        queue.processEnded(self, reason: reason)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end("it has ended")
        self.context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { end("\(error)") }
}
