import MailModel
import SpoolFormat

/// Where one recipient goes, and on whose behalf.
public struct RoutedRecipient: Hashable, Sendable {
    public var recipient: ControlRecipient
    /// A list's `owner-` address, which takes the sender's place; `nil`: the sender's own.
    public var listOwner: String?
}

/// Routes the recipients of one message, one after the other (router.md §3, §5). Each alias is expanded once a message and each
/// quad is used once, so that loops end and nobody gets two copies.
public struct MessageExpansion {
    public struct Limits: Sendable {
        /// Aliases within aliases.
        public var depth: Int
        /// Recipients that one envelope recipient may become.
        public var fanOut: Int

        public init(depth: Int = 30, fanOut: Int = 10_000) {
            self.depth = depth
            self.fanOut = fanOut
        }
    }

    /// Why mail for an address cannot go anywhere: the name of a text in `forms/`.
    public enum Form: String, Hashable, Sendable {
        case noSuchUser = "nosuchuser"
        case envelope
        case expansion
        case loopExceeded = "loopexceeded"
        case unresolvable
    }

    private let tables: any RoutingTables
    private let limits: Limits
    /// The host of `owner-list@host` for a recipient without a domain.
    private let hostName: String
    /// The message comes from the channel `hold`: a route to that channel has had its effect, and is as if it were not there.
    private let isReleased: Bool
    private var expanded: Set<String> = []
    private var seen: Set<Quad> = []
    public private(set) var routed: [RoutedRecipient] = []

    public init(tables: any RoutingTables, hostName: String, limits: Limits = Limits(), isReleased: Bool = false) {
        self.tables = tables
        self.hostName = hostName
        self.isReleased = isReleased
        self.limits = limits
    }

    /// What all expansions of one envelope recipient share.
    private struct Work {
        let envelope: EnvelopeRecipient
        /// The domain that the envelope recipient had, for the owner of a list.
        let domain: String
        var found: [RoutedRecipient] = []
        var quads: Set<Quad> = []
        /// Whether a part of it was found to be done already.
        var isCovered = false
        var isTooLarge = false
    }

    /// Where an address was named: decides about files, programs and the list's owner.
    private struct Context {
        /// Aliases and lists on the way here.
        var path: [String] = []
        var privilege = MessageExpansion.nobody
        var isSecure = false
        /// The alias, for the host of files and programs.
        var alias = ""
        var listOwner: String?
    }

    /// The uid of those who own nothing.
    public static let nobody = 65534

    /// Adds where `recipient` goes; what cannot be routed goes to the channel `error`.
    public mutating func add(_ recipient: EnvelopeRecipient) throws(RoutingTrouble) {
        let mailbox = Mailbox(recipient.address)
        var work = Work(envelope: recipient, domain: mailbox.map { "\($0.domain)" } ?? hostName)
        if let mailbox {
            try route(mailbox, &work, Context())
        } else if let local = AliasTarget.localPart(recipient.address) {
            try deliver(local, &work, Context())
        } else {
            fail(.envelope, recipient.address, &work, Context())
        }
        if work.isTooLarge || (work.found.isEmpty && !work.isCovered) {
            work.found = []
            work.quads = []
            work.isTooLarge = false
            fail(.expansion, recipient.address, &work, Context())
        }
        for found in work.found {
            seen.insert(found.recipient.quad)
            routed.append(found)
        }
    }

    /// Adds a recipient that goes nowhere.
    public mutating func addFailed(_ recipient: EnvelopeRecipient, _ form: Form) {
        var work = Work(envelope: recipient, domain: hostName)
        fail(form, recipient.address, &work, Context())
        for found in work.found {
            seen.insert(found.recipient.quad)
            routed.append(found)
        }
    }

    private mutating func route(_ mailbox: Mailbox, _ work: inout Work, _ context: Context) throws(RoutingTrouble) {
        if try tables.isLocal(mailbox.domain) { return try deliver(mailbox.localPart, &work, context) }
        let address = mailbox.description
        guard let spec = try tables.route(mailbox.domain), !(isReleased && spec.isHold) else {
            return add(
                Quad(channel: "smtp", host: mailbox.domain.key, user: address, privilege: Self.nobody), &work, context)
        }
        if spec.isLocal {
            let local = spec.user.flatMap(AliasTarget.localPart) ?? mailbox.localPart
            return try deliver(local, &work, context)
        }
        let host = spec.host ?? (spec.isSMTP ? mailbox.domain.key : "-")
        add(
            Quad(channel: spec.channel, host: host, user: spec.user ?? address, privilege: Self.nobody), &work, context)
    }

    /// A local part of ours: alias, account, `user+detail`, postmaster, or nobody.
    private mutating func deliver(_ local: LocalPart, _ work: inout Work, _ context: Context) throws(RoutingTrouble) {
        let name = local.text
        if try expand(name, &work, context) { return }
        if try mailbox(name, &work, context) { return }
        if let plus = name.utf8.firstIndex(of: UInt8(ascii: "+")), plus > name.startIndex {
            let base = String(name[..<plus])
            if try expand(base, &work, context) { return }
            // The agent knows what the detail is for: a folder, a `.forward+detail` (router.md §5 step 14).
            if try mailbox(base, &work, context, detail: String(name[plus...])) { return }
        }
        // RFC 5321 §4.5.1: there is always a postmaster.
        if asciiLowercased(name) == "postmaster", let account = try tables.postmasterOfLastResort() {
            return add(Quad(channel: "local", host: "-", user: account, privilege: Self.nobody), &work, context)
        }
        let address = context.path.isEmpty ? work.envelope.address : "\(local.encoded)@\(work.domain)"
        fail(.noSuchUser, address, &work, context)
    }

    private mutating func mailbox(
        _ name: String, _ work: inout Work, _ context: Context, detail: String = ""
    ) throws(RoutingTrouble) -> Bool {
        guard let account = try tables.account(name) else { return false }
        // Whatever a stranger has put into the detail stays one local part.
        let user = detail.isEmpty ? account : LocalPart(decoded: account + detail)?.encoded ?? account
        add(Quad(channel: "local", host: "-", user: user, privilege: Self.nobody), &work, context)
        return true
    }

    /// Whether `name` is an alias and was expanded. One that was expanded before is none the second time, so that
    /// `alice: alice, bob@example.org` reaches the account.
    private mutating func expand(
        _ name: String, _ work: inout Work, _ context: Context
    ) throws(RoutingTrouble) -> Bool {
        guard let entry = try tables.alias(name) else { return false }
        let key = asciiLowercased(name)
        guard expanded.insert(key).inserted else {
            guard try tables.account(name) == nil else { return false }
            // On the way here it is a loop that names nobody; elsewhere its recipients have their copies already.
            if !context.path.contains(key) { work.isCovered = true }
            return true
        }
        guard context.path.count < limits.depth else {
            work.isTooLarge = true
            return true
        }
        var inner = context
        inner.path.append(key)
        inner.privilege = entry.privilege
        inner.isSecure = entry.isSecure
        inner.alias = key
        if !key.hasPrefix("owner-"), try tables.alias("owner-\(key)") != nil {
            inner.listOwner = "owner-\(key)@\(work.domain)"
        }
        try follow(entry.targets, &work, inner)
        return true
    }

    private mutating func follow(
        _ targets: [String], _ work: inout Work, _ context: Context
    ) throws(RoutingTrouble) {
        for text in targets {
            if work.isTooLarge { return }
            guard let target = AliasTarget(text) else {
                fail(.unresolvable, text, &work, context)
                continue
            }
            switch target {
            case .name(let local): try deliver(local, &work, context)
            case .address(let mailbox): try route(mailbox, &work, context)
            case .mailbox(let local):
                if try !mailbox(local.text, &work, context) { fail(.noSuchUser, local.encoded, &work, context) }
            case .command(let command): use("pipe", command, &work, context)
            case .file(let path): use("file", path, &work, context)
            case .include(let path): try include(path, &work, context)
            }
        }
    }

    /// A file or program of a table that only its owner can have written.
    private mutating func use(_ kind: String, _ target: String, _ work: inout Work, _ context: Context) {
        // The sender hears of the alias, not of what is behind it.
        guard context.isSecure else {
            return fail(.unresolvable, "\(context.alias)@\(work.domain)", &work, context)
        }
        add(
            Quad(channel: "local", host: "\(kind).\(context.alias)", user: target, privilege: context.privilege),
            &work, context)
    }

    private mutating func include(
        _ path: String, _ work: inout Work, _ context: Context
    ) throws(RoutingTrouble) {
        let key = ":include:\(path)"
        guard expanded.insert(key).inserted else {
            if !context.path.contains(key) { work.isCovered = true }
            return
        }
        guard context.path.count < limits.depth else {
            work.isTooLarge = true
            return
        }
        guard let list = try tables.list(path) else {
            return fail(.unresolvable, "\(context.alias)@\(work.domain)", &work, context)
        }
        var inner = context
        inner.path.append(key)
        inner.privilege = list.privilege
        inner.isSecure = list.isSecure && context.isSecure
        try follow(list.targets, &work, inner)
    }

    private mutating func fail(_ form: Form, _ address: String, _ work: inout Work, _ context: Context) {
        add(
            Quad(channel: "error", host: form.rawValue, user: address, privilege: Self.nobody), &work, context)
    }

    private mutating func add(_ quad: Quad, _ work: inout Work, _ context: Context) {
        guard !seen.contains(quad), work.quads.insert(quad).inserted else {
            work.isCovered = true
            return
        }
        guard work.found.count < limits.fanOut else {
            work.isTooLarge = true
            return
        }
        var recipient = ControlRecipient(
            quad: quad, notify: work.envelope.notify, originalRecipient: work.envelope.originalRecipient,
            envelopeRecipient: work.envelope.address)
        if context.listOwner != nil {
            // RFC 3461 §5.2.7.1: what happens to a member is the list's business, not the author's.
            recipient.notify = .failure
            recipient.originalRecipient = nil
        }
        work.found.append(RoutedRecipient(recipient: recipient, listOwner: context.listOwner))
    }
}
