import MailModel
import Policy
import Testing

private func read(_ line: String) -> PolicySourceReader.Line {
    var reader = PolicySourceReader(file: "src")
    return reader.read(line: Array(line.utf8)[...])
}

/// `key: attribute value, …`, the reason of an error behind `!`, or nothing.
private func summary(_ line: PolicySourceReader.Line) -> String {
    switch line {
    case .entry(let key, let record):
        "\(key): \(record.pairs.map { "\($0.attribute?.name ?? "?") \($0.value)" }.joined(separator: ", "))"
    case .nothing: ""
    case .error(let error): "!\(error.reason)"
    }
}

@Suite("Policy source: what would open the relay")
struct PolicyRelayMistakeTests {
    @Test(
        "rights for all that is not listed are a mistake",
        arguments: [
            ". = _relaytarget", ". = _localnames", ". = _LOCAL_NAMES", "[0.0.0.0]/0 = _full_rights",
            "[IPv6:::]/0 submit + = _full_rights",
        ])
    func mistakes(line: String) throws {
        let tags = "_relaytarget relaytarget +\n_localnames relaytarget +\n_full_rights relaycustnet +\n"
        let errors = #expect(throws: PolicySourceErrors.self) {
            try PolicyMemoryDatabase(sources: [(file: "src", text: tags + line)])
        }
        #expect(errors?.description.contains("src:4") == true && errors?.description.contains("open the relay") == true)
    }
}

@Suite("Policy source: lines")
struct PolicySourceLineTests {
    @Test(
        "entries",
        arguments: [
            ("example.org relaytarget +", "example.org: relaytarget +"),
            ("Example.ORG\trelaytarget\t+", "example.org: relaytarget +"),
            (".example.org. relaytarget + freeze -", ".example.org: relaytarget +, freeze -"),
            (". relaytarget -", ".: relaytarget -"), ("example.org = _Tag", "example.org: = _tag"),
            ("x = _a relaytarget + = _b", "x: = _a, relaytarget +, = _b"), ("x RELAYTARGET +", "x: relaytarget +"),
            ("[192.0.2.7]/24 rejectnet +", "[192.0.2.0]/24: rejectnet +"),
            ("192.0.2.7/24 rejectnet +", "[192.0.2.0]/24: rejectnet +"), ("[0.0.0.0]/0 spf +", "[0.0.0.0]/0: spf +"),
            ("[192.0.2.7] rejectnet +", "[192.0.2.7]/32: rejectnet +"),
            ("192.0.2.7 rejectnet +", "[192.0.2.7]/32: rejectnet +"),
            ("[IPv6:2001:DB8::1]/32 spf +", "[IPv6:2001:db8::]/32: spf +"),
            ("[ipv6.2001:db8::]/32 spf +", "[IPv6:2001:db8::]/32: spf +"),
            ("2001:db8::/32 spf +", "[IPv6:2001:db8::]/32: spf +"),
            ("2001:db8::1 spf +", "[IPv6:2001:db8::1]/128: spf +"),
            ("[IPv6:::]/0 spf +", "[IPv6:::]/0: spf +"), ("[IPv6:::ffff:192.0.2.0]/120 spf +", "[192.0.2.0]/24: spf +"),
            ("Friend@ = _bulk_mail", "friend@: = _bulk_mail"), ("A@B.C. relaytarget +", "a@b.c: relaytarget +"),
            ("\"John Doe\"@Example.org relaytarget +", "\"john doe\"@example.org: relaytarget +"),
            ("\"john\"@example.org relaytarget +", "john@example.org: relaytarget +"),
            ("\"john doe\"@ relaytarget +", "\"john doe\"@: relaytarget +"),
            ("b\u{fc}cher.test relaytarget +", "xn--bcher-kva.test: relaytarget +"),
            (".B\u{dc}CHER.test relaytarget +", ".xn--bcher-kva.test: relaytarget +"),
            ("x@b\u{fc}cher.test relaytarget +", "x@xn--bcher-kva.test: relaytarget +"),
            ("x@[IPv6:2001:0DB8::1] relaytarget +", "x@[ipv6:2001:db8::1]: relaytarget +"),
            ("a/b@c.d relaytarget +", "a/b@c.d: relaytarget +"), ("#a@b relaytarget +", ""),
            ("_tag message \"a  # b\" rejectnet +", "_tag: message a  # b, rejectnet +"),
            ("x message \"say \\\"no\\\" \\\\\" freeze +", "x: message say \"no\" \\, freeze +"),
            ("x message plain freeze +", "x: message plain, freeze +"),
            ("x message \"\" freeze +", "x: message , freeze +"),
            ("x relaytarget + # comment", "x: relaytarget +"), ("x relaytarget + #", "x: relaytarget +"),
            ("x#y@z relaytarget +", "x#y@z: relaytarget +"),
            ("x relaytarget +\r", "x: relaytarget +"), ("_local_names relaytarget +", "_localnames: relaytarget +"),
            ("x = _Local_Names", "x: = _localnames"), ("x trustrecipient +", "x: trustrecipients +"),
            ("x ratelimitmsgs 100", "x: ratelimitmsgs 100"),
            ("x ratelimitmsgs -100,2000", "x: ratelimitmsgs -100,2000"),
            ("x test-dns-rbl -", "x: test-dns-rbl -"),
            ("x test-dns-rbl +:dul.maps.vix.com:~ok.test", "x: test-dns-rbl +:dul.maps.vix.com:~ok.test"),
            ("x test-dns-rbl z.test=127.0.0.2,127.0.0.4", "x: test-dns-rbl z.test=127.0.0.2,127.0.0.4"),
            ("x rcpt-dns-rbl \"_Go away\"", "x: rcpt-dns-rbl _Go away"), ("x greylist 300", "x: greylist 300"),
            ("x submit +", "x: submit +"), ("x maxinsize 0", "x: maxinsize 0"),
            ("", ""), ("   ", ""), (" x relaytarget +", ""), ("\tx relaytarget +", ""), ("# comment", ""),
            ("_rbl1 # Nothing", ""), ("example.org", ""), ("\r", ""),
        ])
    func entries(line: String, expected: String) {
        #expect(summary(read(line)) == expected)
    }

    @Test(
        "mistakes are told with what would be valid",
        arguments: [
            ("x relaytarget", "relaytarget needs a value: + or -"), ("x relaytarget yes", "it takes + or -"),
            ("x relaytarget ++", "it takes + or -"),
            ("x relaytraget +", "unknown attribute 'relaytraget'; there are = "),
            ("x = tag", "'=' needs the name of a tag, which begins with '_', not 'tag'"), ("x = _", "'=' needs"),
            ("x =", "= needs a value"), ("x maxinsize -1", "a number, 0 or more"),
            ("x maxinsize 1k", "a number, 0 or more"),
            ("x maxinsize 99999999999999999999", "a number, 0 or more"), ("x greylist soon", "a number of seconds"),
            ("x ratelimitmsgs many", "messages an hour"), ("x ratelimitmsgs 1,2,3", "messages an hour"),
            ("x test-dns-rbl a..b", "zones with ':' between them"), ("x test-dns-rbl a::b", "zones with ':'"),
            ("x test-dns-rbl a=10.0.0.1", "zones with ':'"),
            ("x rcpt-dns-rbl \"go away\"", "a text that begins with '_'"),
            ("x message \"open", "a quote is not closed"), ("x message \"a\"b freeze +", "a blank must follow"),
            ("[192.0.2.0]/33 rejectnet +", "no network"), ("[192.0.2.0/24 rejectnet +", "no network"),
            ("192.0.2/24 rejectnet +", "no network"),
            ("192.0.2 rejectnet +", "no network"), ("192.0.2. rejectnet +", "no network"),
            ("300.0.2.1 rejectnet +", "no network"), ("10 rejectnet +", "no network"),
            ("[IPv6:2001:db8::]/129 spf +", "no network"),
            ("[IPv6:192.0.2.1]/24 spf +", "no network"), ("a/b spf +", "no network"), ("[x] spf +", "no network"),
            ("a..b relaytarget +", "no key: a domain"), ("a,b relaytarget +", "no key: a domain"),
            (".. relaytarget +", "no key"), ("@example.org relaytarget +", "nothing in front of the '@'"),
            ("_ relaytarget +", "a tag needs a name"), ("\"a b\" relaytarget +", "no key"),
            ("\"a\u{1}b\"@c relaytarget +", "a control character"), ("x origin a:1", "unknown attribute 'origin'"),
            (String(repeating: "a", count: 253) + " relaytarget +", "the key has 253 octets; 252 are possible"),
            ("x message \"\(String(repeating: "a", count: 253))\" freeze +", "has 253 octets; 252 are possible"),
        ])
    func mistakes(line: String, reason: String) {
        guard case .error(let error) = read(line) else {
            Issue.record("no error: \(summary(read(line)))")
            return
        }
        #expect(error.reason.contains(reason), "\(error)")
        #expect(error.file == "src" && error.line == 1)
    }

    @Test("a message shows the first 100 characters of a key")
    func longKey() {
        guard case .error(let error) = read(String(repeating: "a", count: 5000) + " relaytarget +") else {
            Issue.record("no error")
            return
        }
        #expect(
            error.description
                == "src:1: \(String(repeating: "a", count: 100))…: the key has 5000 octets; 252 are possible")
    }

    @Test("each attribute takes what its kind takes", arguments: PolicyAttribute.allCases.filter { $0 != .origin })
    func attributes(attribute: PolicyAttribute) {
        let value =
            switch attribute.valueKind {
            case .tag: "_t"
            case .sign: "+"
            case .text, .origin: "text"
            case .number, .rate: "10"
            case .zones, .zonesOrText: "a.b"
            }
        #expect(summary(read("x \(attribute.name) \(value)")) == "x: \(attribute.name) \(value)")
        #expect(PolicyAttribute(name: attribute.name) == attribute)
        #expect(!attribute.expected.isEmpty)
        #expect(PolicyAttribute.names.contains(attribute.name))
    }

    @Test("a value and a key of 252 octets fit")
    func limits() {
        let long = String(repeating: "a", count: 252)
        #expect(summary(read("x message \(long) freeze +")) == "x: message \(long), freeze +")
        #expect(summary(read("\(long) freeze +")) == "\(long): freeze +")
    }
}

@Suite("Policy source: files")
struct PolicySourceFileTests {
    private func origins(_ text: String) -> [String] {
        var reader = PolicySourceReader(file: "src")
        return text.split(separator: "\n", omittingEmptySubsequences: false).compactMap { line in
            switch reader.read(line: Array(line.utf8)[...]) {
            case .entry(_, let record): record.pairs.first?.origin
            case .nothing: nil
            case .error(let error): "!\(error.file):\(error.line)"
            }
        }
    }

    @Test("origins count lines")
    func counting() {
        #expect(origins("# c\na freeze +\n\nb freeze +\nb fraeze +") == ["src:2", "src:4", "!src:5"])
    }

    @Test("marks tell other files and lines")
    func marks() {
        let text = """
            a freeze + #@smtp-policy.mx:17
            b freeze +
            #@line 5 "other file"
            c freeze +
            #@line 5 "other"
            c freeze +
            d freeze + # @x:1
            e freeze + #@x:y
            f fraeze + #@z:8
            """
        #expect(
            origins(text) == [
                "smtp-policy.mx:17", "src:2", "other file:5", "other:5", "other:6", "other:7", "!z:8",
            ])
    }

    @Test("tags that are used and nowhere defined are mistakes of the line that uses them first")
    func undefined() throws {
        let text = "a = _x\nb = _y\nc = _x\n_y = _z\n_rbl # nothing\nd = _rbl"
        let errors = #expect(throws: PolicySourceErrors.self) {
            try PolicyMemoryDatabase(sources: [(file: "src", text: text)])
        }
        #expect(errors?.errors.map { "\($0.file):\($0.line) \($0.key)" } == ["src:1 a", "src:4 _y"])
        #expect(errors?.description.contains("the tag _x is nowhere defined") == true)
    }

    @Test("all mistakes of all sources are told together")
    func together() {
        let errors = #expect(throws: PolicySourceErrors.self) {
            try PolicyMemoryDatabase(sources: [(file: "a", text: "x y\nx freeze +"), (file: "b", text: "\nz freeze")])
        }
        #expect(errors?.errors.map { "\($0.file):\($0.line)" } == ["a:1", "b:2"])
    }

    @Test(
        "whether reverse names give rights",
        arguments: [
            ("a.b relaycustnet +", true), ("a.b relaycustnet -", false), ("[10.0.0.0]/8 relaycustnet +", false),
            ("a.b = _t\n_t relaycustnet +", true), ("_t relaycustnet +\n[10.0.0.0]/8 = _t", false),
            ("a.b = _t\n_t = _u\n_u relaycustnet +", true), ("_t = _t\n_t = _u\n_u freeze +\na.b = _t", false),
            ("[10.0.0.0]/8 = _t\na.b = _t\n_t relaycustnet +", true),
        ])
    func namesGrant(text: String, expected: Bool) throws {
        #expect(try PolicyMemoryDatabase(sources: [(file: "src", text: text)]).metadata().namesGrant == expected)
    }

    @Test("the metadata know the widths and the number of keys")
    func metadata() throws {
        let text =
            "[10.0.0.0]/8 spf +\n[10.0.0.0]/8 freezenet -\n[0.0.0.0]/0 spf +\n[IPv6:::1]/128 spf +\n2001:db8::/32 spf +\nx freeze +"
        let metadata = try PolicyMemoryDatabase(sources: [(file: "src", text: text)]).metadata()
        #expect(metadata.entries == 5)
        #expect(metadata.v4Lengths == 1 | 1 << 8)
        #expect(metadata.v6Lengths == [128, 32])
        #expect(PolicyMetadata(octets: metadata.octets) == metadata)
    }
}
