import Testing

@testable import Resolver

@Suite("The file of local zones")
struct ResolverZoneDataTests {
    @Test("zones and records are read in order, comments and empty lines skipped")
    func reads() throws {
        let data = try ZoneData(
            parsing: """
                # zones of a test
                zone example.test. static

                  data "example.test. 300 IN MX 10 mail.example.test."  
                data mail.example.test. 300 IN A 127.0.0.1
                """)
        #expect(data.zones == [ZoneData.Zone(name: "example.test.", type: "static")])
        #expect(
            data.records == [
                "example.test. 300 IN MX 10 mail.example.test.", "mail.example.test. 300 IN A 127.0.0.1",
            ])
    }

    @Test("all errors are told at once, with file and line")
    func errors() {
        do {
            _ = try ZoneData(
                parsing: "zone example.test.\nzone a b\ndata x\nfoo\ndata \"a IN A 127.0.0.1\"", file: "/z")
            Issue.record("accepted")
        } catch {
            #expect(error.messages.count == 4)
            #expect(error.messages.first?.hasPrefix("/z:1: zone needs") == true)
            #expect(error.messages.last == "/z:4: unknown word 'foo'; valid are zone and data")
        }
    }

    @Test("a file that cannot be read is named")
    func missingFile() {
        var configuration = ResolverConfiguration()
        do {
            try configuration.readZones(from: "/nonexistent/zones")
            Issue.record("read")
        } catch {
            #expect(error.messages == ["/nonexistent/zones: cannot be read: No such file or directory"])
        }
    }
}
