import AgentProtocol
import MailModel
import Testing

@Suite("scheduler.auth")
struct MailqAccountsTests {
    private func parse(_ text: String) throws -> MailqAccounts { try MailqAccounts(parsing: Array(text.utf8)) }

    @Test("comments and empty lines are passed over, fields keep what stands in them")
    func parsing() throws {
        let accounts = try parse(
            """
            # comment
            * another

            node:se cret!:ETRN:[192.0.2.0]/28
            watch:other:SNMP QQ TT:\r
            root:x:ALL:[127.0.0.0]/8 [ipv6.0::1]/128
            nobody:nobody:NONE:
            """
        ).accounts
        #expect(accounts.map { String(decoding: $0.user, as: UTF8.self) } == ["node", "watch", "root", "nobody"])
        #expect(accounts[0].password == Array("se cret!".utf8))
        #expect(accounts.map(\.rights) == [.etrn, [.snmp, .queue, .threads], .all, []])
    }

    @Test(
        "the first line of a user that has the address and a right of the scheduler's holds",
        arguments: [
            ("192.0.2.5", MailqRights.etrn), ("192.0.2.9", nil), ("192.0.3.1", .snmp), ("2001:db8::1", .kill),
            ("::ffff:192.0.2.5", .etrn), ("2001:db9::1", nil),
        ] as [(String, MailqRights?)])
    func lookup(client: String, rights: MailqRights?) throws {
        let accounts = try parse(
            """
            u:p:SMTPIP:
            u:p:ETRN:![192.0.2.9] [192.0.2.0]/24
            u:p:SNMP:[192.0.3.1]
            u:p:KILL:[IPv6:2001:db8::]/32
            v:p:ETRN:[192.0.2.9],[10.0.0.0]/8
            """)
        let address = try #require(IPAddress(client))
        #expect(accounts.account(Array("u".utf8), from: address)?.rights == rights)
        #expect(accounts.account(Array("U".utf8), from: address) == nil)
        #expect(accounts.admits(address) == (rights != nil || client == "192.0.2.9"))
    }

    @Test("a Unix socket has no address: lines without addresses admit it")
    func unixSocket() throws {
        #expect(try parse("u:p:ETRN:").account(Array("u".utf8), from: nil)?.rights == .etrn)
        #expect(try !parse("u:p:ETRN:[127.0.0.1]").admits(nil))
        #expect(try !parse("u:p:ETRN:![127.0.0.1]").admits(nil))
        #expect(!MailqAccounts.none.admits(nil))
    }

    @Test(
        "a mistake is told with its line and what would be valid, and without the password",
        arguments: [
            ("u:topsecret:ETRN", 1, "has 3 fields"), ("\nu:topsecret", 2, "has 2 fields"),
            (":topsecret:ETRN:", 1, "the user is ''"), ("a b:topsecret:ETRN:", 1, "the user is 'a b'"),
            ("u::ETRN:", 1, "the password is empty"), ("u:topsecret::", 1, "has no rights; valid are NONE SNMP QQ"),
            ("u:topsecret:ETRN etrn:", 1, "'etrn' is not a right"),
            ("u:topsecret:ETRN:192.0.2.1", 1, "'192.0.2.1' is not an address; valid are [192.0.2.0]/24"),
            ("u:topsecret:ETRN:[192.0.2.1]/33", 1, "'[192.0.2.1]/33' is not an address"),
            ("u:topsecret:ETRN:[host.example]", 1, "is not an address"),
            ("u:topsecret:ETRN:!", 1, "'!' is not an address"),
            ("u:top\u{1}secret:ETRN:", 1, "holds a control character"),
            ("u:topsecret:ETRN:" + String(repeating: " ", count: 2000), 1, "is longer than 2000 octets"),
        ])
    func mistakes(text: String, line: Int, reason: String) throws {
        do throws(MailqAccounts.SyntaxErrors) {
            _ = try MailqAccounts(parsing: Array(text.utf8))
            Issue.record("taken: \(text)")
        } catch {
            #expect(error.errors.count == 1)
            #expect(error.errors[0].line == line)
            #expect(error.errors[0].reason.contains(reason), "\(error.errors[0])")
            #expect(!"\(error)".contains("secret"))
        }
    }

    @Test("all mistakes are told together, and a file without end is not read")
    func several() {
        #expect(throws: MailqAccounts.SyntaxErrors.self) { try parse("a:b:ETRN\nok:p:ETRN:\nc:d:X:") }
        do throws(MailqAccounts.SyntaxErrors) {
            let lines = String(repeating: "u:p:ETRN:\n", count: MailqAccounts.maximumAccounts + 7)
            _ = try MailqAccounts(parsing: Array("x\n\(lines)".utf8))
            Issue.record("taken")
        } catch {
            #expect(error.errors.map(\.line) == [1, MailqAccounts.maximumAccounts + 2])
        }
    }

    @Test("no description holds the password")
    func descriptions() throws {
        let account = try #require(try parse("u:hidden:ETRN:").accounts.first)
        #expect("\(account)" == "u")
    }
}
