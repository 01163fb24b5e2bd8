import ContentFiltering
import MailModel
import Testing

@Suite("The dialogue with a content filter")
struct FilterDialogueTests {
    private static let path = "/po/public/7"
    private let accepted = FilterAnswer(verdict: FilterVerdict(.accept))

    private func started(_ credits: Int = 1) -> FilterDialogue {
        var dialogue = FilterDialogue()
        #expect(dialogue.freeCredits == 0)
        for index in 0..<credits { #expect(say("#hungry", to: &dialogue) == (index == 0 ? [.announced] : [])) }
        #expect(dialogue.freeCredits == 0, "more may be said yet")
        dialogue.endAnnouncement()
        #expect(dialogue.freeCredits == credits)
        return dialogue
    }

    private func say(_ line: String, to dialogue: inout FilterDialogue) -> [FilterDialogue.Event] {
        dialogue.receive(Array(line.utf8)[...])
    }

    @Test("one message after the other")
    func one() throws {
        var dialogue = started()
        for number in 1...3 {
            #expect(dialogue.begin(number, path: "\(Self.path)\(number)") == Array("\(Self.path)\(number)\n".utf8))
            #expect(dialogue.freeCredits == 0)
            #expect(say("# looking", to: &dialogue) == [.remark("# looking")])
            #expect(say("0", to: &dialogue) == [.finished(job: number, accepted)])
            #expect(dialogue.freeCredits == 0)
            #expect(say("#hungry\r", to: &dialogue) == [])
            #expect(dialogue.freeCredits == 1)
        }
    }

    @Test("changes belong to the message that the filter has")
    func edits() throws {
        var dialogue = started()
        _ = dialogue.begin(1, path: Self.path)
        #expect(say("+header X-Score: 3", to: &dialogue) == [])
        #expect(say("\(Self.path) tag spam", to: &dialogue) == [])
        guard case .finished(1, let answer)? = say("1 maybe", to: &dialogue).first else {
            Issue.record("not finished")
            return
        }
        #expect(answer.verdict?.disposition == .freeze(1))
        #expect(answer.edits.edits == [.addFirst(name: "X-Score", value: [" 3"]), .tag("spam")])
    }

    @Test("#hungry without a result is no result, where there is one credit")
    func noResult() throws {
        var dialogue = started()
        _ = dialogue.begin(1, path: Self.path)
        #expect(
            say("#hungry", to: &dialogue)
                == [.finished(job: 1, FilterAnswer(verdict: nil, problem: "no result"))])
        #expect(dialogue.freeCredits == 1 && dialogue.openJobs.isEmpty)
        _ = dialogue.begin(2, path: Self.path)
        _ = say("# the scanner is away", to: &dialogue)
        #expect(
            say("#hungry", to: &dialogue)
                == [.finished(job: 2, FilterAnswer(verdict: nil, problem: "no result: # the scanner is away"))])
    }

    @Test("#none is no result, and keeps the credit's account right")
    func none() throws {
        var dialogue = started(2)
        _ = dialogue.begin(1, path: "/po/public/1")
        _ = dialogue.begin(2, path: "/po/public/2")
        #expect(say("/po/public/1 # away", to: &dialogue) == [.remark("# away")])
        #expect(
            say("/po/public/1 #none", to: &dialogue)
                == [.finished(job: 1, FilterAnswer(verdict: nil, problem: "no result: # away"))])
        #expect(say("#hungry", to: &dialogue) == [])
        #expect(dialogue.freeCredits == 1 && dialogue.openJobs == [2])
        #expect(say("#none", to: &dialogue) == [.finished(job: 2, FilterAnswer(verdict: nil, problem: "no result"))])
        #expect(say("#none", to: &dialogue) == [.remark("#none")])
    }

    @Test("several at once, answered by their paths in any order")
    func several() throws {
        var dialogue = started(3)
        for number in 1...3 { _ = dialogue.begin(number, path: "/po/public/\(number)") }
        #expect(dialogue.openJobs == [1, 2, 3])
        #expect(say("/po/public/2 0", to: &dialogue) == [.finished(job: 2, accepted)])
        #expect(say("#hungry", to: &dialogue) == [])
        #expect(dialogue.freeCredits == 1)
        #expect(say("/po/public/1 tag x", to: &dialogue) == [])
        _ = dialogue.begin(4, path: "/po/public/11")
        #expect(say("/po/public/11 0", to: &dialogue) == [.finished(job: 4, accepted)])
        #expect(say("/po/public/3 -1", to: &dialogue).count == 1)
        #expect(dialogue.openJobs == [1])
    }

    @Test(
        "what is against the protocol ends it, and what comes for its messages still counts",
        arguments: [
            ("hello", "no result: 'hello'"), ("", "no result: ''"), ("1x", "no result: '1x'"),
            ("/po/public/9 0", "no result: '/po/public/9 0'"),
        ])
    func violations(line: String, what: String) throws {
        var dialogue = started()
        _ = dialogue.begin(1, path: Self.path)
        #expect(say(line, to: &dialogue) == [.violated(what)])
        #expect(dialogue.isBroken)
        #expect(say(line, to: &dialogue) == [])
        #expect(say("#hungry", to: &dialogue) == [])
        #expect(dialogue.freeCredits == 0)
        #expect(say("0", to: &dialogue) == [.finished(job: 1, accepted)])
    }

    @Test("a result for nobody, for one of several, or in a line too long is against the protocol")
    func ambiguous() throws {
        var dialogue = started()
        #expect(say("0", to: &dialogue) == [.violated("for which message is '0'?")])
        dialogue = started(2)
        _ = dialogue.begin(1, path: "/po/public/1")
        _ = dialogue.begin(2, path: "/po/public/2")
        #expect(say("0", to: &dialogue) == [.violated("for which message is '0'?")])
        dialogue = started()
        _ = dialogue.begin(1, path: Self.path)
        #expect(
            dialogue.receive(Array("0 x".utf8)[...], isCut: true) == [.violated("a line of more than 65536 octets")])
    }

    @Test("changes and credits are bounded")
    func bounds() throws {
        var dialogue = started(500.clamped(to: 1...100))
        #expect(say("#hungry", to: &dialogue) == [])
        #expect(dialogue.freeCredits == FilterDialogue.maximumCredits)
        _ = dialogue.begin(1, path: Self.path)
        for _ in 0..<MessageEdits.maximumCount { #expect(say("tag x", to: &dialogue) == []) }
        #expect(say("tag x", to: &dialogue) == [.violated("more changes of one message than are possible")])
    }

    @Test("a message whose change was not understood is not accepted without it, and may be refused")
    func spoiled() throws {
        let problem = FilterAnswer(verdict: nil, problem: "a change that it asked for could not be understood")
        for line in ["+header no colon", "-header X/0", "rewrite-to nobody"] {
            var dialogue = started()
            _ = dialogue.begin(1, path: Self.path)
            #expect(say("-header Subject", to: &dialogue) == [])
            guard case .violated = say(line, to: &dialogue).first else {
                Issue.record("\(line) was taken")
                continue
            }
            #expect(say("0", to: &dialogue) == [.finished(job: 1, problem)])
        }
        var dialogue = started()
        _ = dialogue.begin(1, path: Self.path)
        _ = say("+header no colon", to: &dialogue)
        let refused = FilterAnswer(verdict: FilterVerdict(.refuse))
        #expect(say("-1", to: &dialogue) == [.finished(job: 1, refused)])
    }

    @Test("who is given up is given no more")
    func forgotten() throws {
        var dialogue = started(2)
        _ = dialogue.begin(1, path: Self.path)
        dialogue.forget(1)
        #expect(dialogue.openJobs.isEmpty && dialogue.freeCredits == 0 && dialogue.isBroken)
        dialogue = started(2)
        _ = dialogue.begin(1, path: Self.path)
        dialogue.giveUp()
        #expect(dialogue.freeCredits == 0 && dialogue.isBroken)
        #expect(say("0", to: &dialogue) == [.finished(job: 1, accepted)])
    }
}

extension Int {
    fileprivate func clamped(to range: ClosedRange<Int>) -> Int {
        Swift.min(Swift.max(self, range.lowerBound), range.upperBound)
    }
}
