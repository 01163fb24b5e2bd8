/// What a form says in the language of programs (RFC 3463).
enum RoutingReason {
    static func of(form name: String) -> (status: String, text: String) {
        switch name {
        case "nosuchuser": ("5.1.1", "there is no such user here")
        case "unresolvable": ("5.1.2", "the address leads nowhere")
        case "envelope": ("5.1.3", "the address cannot be read")
        case "acctexpired": ("5.2.1", "the account has expired")
        case "expansion": ("5.2.4", "the mailing list or alias cannot be expanded")
        case "loopexceeded": ("5.4.6", "the message went round in a loop")
        case "expired": ("5.4.7", "the message could not be delivered in time")
        default: ("5.0.0", "the mail system could not route the message")
        }
    }
}
