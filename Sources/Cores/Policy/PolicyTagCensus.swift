import MailModel

/// Which tags the lines of a source define and use, and whether reverse names can give rights.
struct PolicyTagCensus {
    private var defined: Set<String> = []
    private var uses: [String: PolicySourceError] = [:]
    /// Tags that entries of domains use, tags that grant rights to clients, and tags by the tags that use them.
    private var usedByDomains: Set<String> = []
    private var granting: Set<String> = []
    private var inner: [String: Set<String>] = [:]
    private var domainGrants = false
    /// The last tag that was used, as it was spelled: whole files use the same.
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
        if isDomain { usedByDomains.insert(tag) }
        if let outer { inner[outer, default: []].insert(tag) }
        lastSpelling = Array(spelling)
        lastTag = tag
        lastWasDomain = isDomain
        return tag.utf8
    }

    /// Notes what gives rights to clients.
    mutating func note(_ attribute: PolicyAttribute, _ value: ArraySlice<UInt8>, _ key: PolicyKey) {
        guard attribute == .relaycustnet || attribute == .fulltrustnet, Octets.equal(value, "+") else { return }
        switch key {
        case .domain: domainGrants = true
        case .tag(let tag): granting.insert(tag)
        case .network, .user: break
        }
    }

    var undefined: [PolicySourceError] {
        uses.filter { !defined.contains($0.key) }.map(\.value).sorted { ($0.file, $0.line) < ($1.file, $1.line) }
    }

    var namesGrant: Bool {
        if domainGrants { return true }
        var seen = usedByDomains
        var rest = Array(usedByDomains)
        while let tag = rest.popLast() {
            if granting.contains(tag) { return true }
            for next in inner[tag] ?? [] where seen.insert(next).inserted { rest.append(next) }
        }
        return false
    }
}
