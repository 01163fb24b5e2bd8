import AgentKit
import Configuration
import MailModel

/// The arguments of one run. An address fills a word or a part of one and never becomes more than that; no shell sees it.
struct StreamArguments {
    let mailer: StreamMailer
    /// `nil` for `<>`.
    let sender: String?
    let host: String
    let recipients: [JobRecipient]

    /// Why there is no run.
    enum Refusal: Error, Hashable {
        case recipient(String)
        case sender(String)
        case host(String)
    }

    /// Recipients of one run, and octets of their addresses: far below what execve(2) takes.
    static let maximumRecipients = 100
    static let maximumOctets = 32 << 10

    /// Where an argument would begin with a `-` that comes from an address, and no `--` stands in front of it, there is no run: the
    /// program would take it for an option.
    func words() throws(Refusal) -> [String] {
        var words: [String] = []
        var isBehindOptions = false
        let sender = sender.map { strip($0) } ?? "<>"
        if mailer.flags.contains(.namesSenderByF) || mailer.flags.contains(.namesSenderByR) {
            words.append(mailer.flags.contains(.namesSenderByF) ? "-f" : "-r")
            if Self.isOption(sender) { throw .sender(sender) }
            words.append(sender)
        }
        for argument in mailer.arguments {
            if argument.parts == [.text("--")] { isBehindOptions = true }
            for recipient in argument.namesRecipient ? recipients.map(\.address) : [""] {
                let address = strip(recipient)
                var word = ""
                for part in argument.parts {
                    let value: String
                    switch part {
                    case .text(let text):
                        word += text
                        continue
                    case .sender: value = sender
                    case .host: value = host
                    case .recipient: value = address
                    case .lowercasedRecipient: value = asciiLowercased(address)
                    }
                    if word.isEmpty, !isBehindOptions, Self.isOption(value) {
                        switch part {
                        case .sender: throw .sender(value)
                        case .host: throw .host(value)
                        case .recipient, .lowercasedRecipient, .text: throw .recipient(value)
                        }
                    }
                    word += Octets.cleaned(value)
                }
                words.append(word)
            }
        }
        return words
    }

    /// A `-` alone is no option: it is the host of channels that have none.
    private static func isOption(_ value: String) -> Bool { value.utf8.first == UInt8(ascii: "-") && value != "-" }

    /// `s`: the local part without its quotes and backslashes (RFC 5321 §4.1.2).
    private func strip(_ address: String) -> String {
        guard mailer.flags.contains(.stripsQuotes), address.utf8.first == UInt8(ascii: "\"") else { return address }
        if let mailbox = Mailbox(address) { return "\(mailbox.localPart.text)@\(mailbox.domain)" }
        return Self.unquoted(address)
    }

    /// A local part alone.
    private static func unquoted(_ text: String) -> String {
        var out: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let octet = rest.popFirst() {
            switch octet {
            case UInt8(ascii: "\""): break
            case UInt8(ascii: "\\"): if let next = rest.popFirst() { out.append(next) }
            default: out.append(octet)
            }
        }
        return Octets.text(out[...])
    }
}
