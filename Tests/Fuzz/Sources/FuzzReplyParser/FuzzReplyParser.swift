import FuzzSupport
import MailModel
import SMTPProtocol

/// Properties: the same replies and the same error however the octets are split; what was parsed, encoded and parsed again
/// is the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzReplyParser(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    func parse(_ pieces: [[UInt8]]) -> (replies: [Reply], error: ReplySyntaxError?) {
        var parser = ReplyParser(maximumLineLength: 64, maximumLines: 4)
        var replies: [Reply] = []
        var failure: ReplySyntaxError?
        for piece in pieces where failure == nil {
            drain(piece) { rest in
                do throws(ReplySyntaxError) {
                    let (consumed, reply) = try parser.parse(rest)
                    if let reply { replies.append(reply) }
                    return (consumed, reply != nil)
                } catch {
                    failure = error
                    return (rest.count, false)
                }
            }
        }
        return (replies, failure)
    }
    let whole = parse([input.octets])
    let split = parse(input.pieces)
    precondition(whole.replies == split.replies && whole.error == split.error, "replies depend on the split")
    for reply in whole.replies {
        precondition((200...599).contains(reply.code) && (1...4).contains(reply.lines.count))
        precondition(reply.lines.allSatisfy { $0.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f } })
    }
    return 0
}
