import Configuration
import MailModel
import PolicyEngine
import Testing

@testable import Router

@Suite("Router: configuration")
struct RouterConfigurationTests {
    @Test(
        "options that are not available say so",
        arguments: ["-i", "-I", "-f", "-o", "-t", "-N", "-r", "-s", "-S", "-W"])
    func notAvailable(option: String) {
        // getopt(3) keeps global state, so the usage text is read and not the parser called.
        let text = RouterOptions.usage
        let line = text.split(separator: "\n").first { $0.contains("  \(option)") }
        #expect(line?.contains("not available") == true)
    }

    @Test("each wrong setting is named with what would be valid")
    func wrong() {
        do throws(ConfigurationErrors) {
            _ = try MailConfiguration(
                .init(values: [
                    "ACCOUNTS": "ldap", "SELFADDRESSES": "[192.0.2.1], x", "HOSTNAME": "a b", "MINUID": "x",
                    "FREEZERMAXAGE": "long",
                ]),
                postoffice: nil)
            Issue.record("accepted")
        } catch {
            #expect(error.errors.map(\.key) == ["FREEZERMAXAGE", "ACCOUNTS", "MINUID", "SELFADDRESSES", "HOSTNAME"])
            #expect(error.description.contains("valid are passwd and file:/path"))
        }
    }

    @Test("addresses of our interfaces are ours")
    func ownAddresses() throws {
        let instance = try RouterInstance()
        let ownsLoopback = instance.configuration.ownAddresses.contains { $0.isLoopback }
        #expect(ownsLoopback)
        #expect(try instance.tables.isLocal(try #require(.init("[127.0.0.1]"))))
        #expect(try instance.tables.isLocal(try #require(.init("[192.0.2.25]"))))
        #expect(try !instance.tables.isLocal(try #require(.init("[192.0.2.26]"))))
    }
}
