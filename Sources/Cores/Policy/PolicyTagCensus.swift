import MailModel

/// Which tags the lines of a source define and use, and what the entries together can do: give rights by reverse names, judge
/// senders.
struct PolicyTagCensus {
    private var defined: Set<String> = []
    private var uses: [String: PolicySourceError] = [:]
    /// Tags that entries of domains use, and others, tags that grant rights to clients or judge senders, and tags by the tags that
    /// use them.
    private var usedByDomains: Set<String> = []
    private var usedByOthers: Set<String> = []
    private var granting: Set<String> = []
    private var judging: Set<String> = []
    private var inner: [String: Set<String>] = [:]
    private var domainGrants = false
    private var entryJudges = false
    /// The last tag that an entry used, as it was spelled: whole files use the same.
    private var lastSpelling: [UInt8] = []
    private var lastTag = ""
    private var lastWasDomain = false

    /// `_local_names`, as the man page prints it, is `_localnames`.
    static func canonical(_ tag: String) -> String { tag == "_local_names" ? "_localnames" : tag }

    mutating func define(_ tag: String) { defined.insert(tag) }

    /// The tag's octets as a record holds them.
    mutating func use(
        _ spelling: ArraySlice<UInt8>, by key: PolicyKey, _ origin: PolicySourceWords.Origin
    ) throws(PolicySourceProblem) -> String.UTF8View {
        var isDomain = false
        var outer: String?
        switch key {
        case .domain: isDomain = true
        case .tag(let tag): outer = tag
        case .network, .user: break
        }
        if outer == nil, isDomain == lastWasDomain, !lastTag.isEmpty, spelling.elementsEqual(lastSpelling) {
            return lastTag.utf8
        }
        guard spelling.first == UInt8(ascii: "_"), spelling.count > 1 else {
            throw PolicySourceProblem(
                "'=' needs the name of a tag, which begins with '_', not '\(Octets.cleaned(Octets.text(spelling.prefix(80))))'"
            )
        }
        let tag = Self.canonical(asciiLowercased(Octets.text(spelling)))
        if uses[tag] == nil {
            uses[tag] = PolicySourceError(
                file: Octets.text(origin.file), line: origin.line, key: "\(key)",
                reason:
                    "the tag \(tag) is nowhere defined: a line '\(tag) attribute value …' or '\(tag) # nothing' is needed"
            )
        }
        if isDomain { usedByDomains.insert(tag) } else if outer == nil { usedByOthers.insert(tag) }
        if let outer { inner[outer, default: []].insert(tag) }
        if outer == nil {
            lastSpelling = Array(spelling)
            lastTag = tag
            lastWasDomain = isDomain
        }
        return tag.utf8
    }

    /// Notes what gives rights to clients, and what judges senders.
    mutating func note(_ attribute: PolicyAttribute, _ value: ArraySlice<UInt8>, _ key: PolicyKey) {
        let isPlus = Octets.equal(value, "+")
        switch attribute {
        case .relaycustnet, .fulltrustnet:
            guard isPlus else { return }
            switch key {
            case .domain: domainGrants = true
            case .tag(let tag): granting.insert(tag)
            case .network, .user: break
            }
        case .rejectsource, .freezesource, .sendernorelay:
            if isPlus { noteJudge(key) }
        case .senderokwithdns, .trustWhoson, .testDNSRBL:
            noteJudge(key)
        case .rejectnet, .freezenet:
            // Of a network it is about clients; of a domain also about HELO, which shows at MAIL.
            if case .network = key { return }
            if isPlus { noteJudge(key) }
        case .alias, .relaycustomer, .relaytarget, .acceptifmx, .acceptifdns, .freeze, .message, .localdomain,
            .maxinsize,
            .maxoutsize, .trustrecipients, .rcptDNSRBL, .testRcptDNSRBL, .warnRcptDNSRBL, .filtering, .maxsameipsource,
            .spf, .ratelimitmsgs, .greylist, .submit, .origin:
            break
        }
    }

    private mutating func noteJudge(_ key: PolicyKey) {
        if case .tag(let tag) = key { judging.insert(tag) } else { entryJudges = true }
    }

    var undefined: [PolicySourceError] {
        uses.filter { !defined.contains($0.key) }.map(\.value).sorted { ($0.file, $0.line) < ($1.file, $1.line) }
    }

    /// Whether an entry of a domain grants rights to clients.
    var namesGrant: Bool { domainGrants || reaches(granting, from: usedByDomains) }

    /// Whether an entry says something about senders or names in HELO.
    var judgesSenders: Bool { entryJudges || reaches(judging, from: usedByDomains.union(usedByOthers)) }

    private func reaches(_ wanted: Set<String>, from tags: Set<String>) -> Bool {
        var seen = tags
        var rest = Array(tags)
        while let tag = rest.popLast() {
            if wanted.contains(tag) { return true }
            for next in inner[tag] ?? [] where seen.insert(next).inserted { rest.append(next) }
        }
        return false
    }
}
