import Configuration
import Testing

@Suite("METRICS in zmailer.conf") struct MetricsAddressTests {
    @Test(
        "an address is a port, an address with a port, or a path",
        arguments: [
            ("9925", "127.0.0.1:9925"), ("192.0.2.1:80", "192.0.2.1:80"), ("[::1]:9925", "[::1]:9925"),
            ("/run/zmailer/metrics", "/run/zmailer/metrics"),
        ])
    func valid(text: String, description: String) throws {
        #expect(MetricsAddress(text)?.description == description)
        #expect(try MetricsAddress.read(ZEnvironment(values: ["METRICS": text])) == MetricsAddress(text))
    }

    @Test(
        "anything else is a mistake",
        arguments: [
            "0", "65536", "x", "localhost:80", ":80", "::1:9925", "[::1]", "[::1:80", "127.0.0.1:", "127.0.0.1:x", "/",
            "99 25",
        ])
    func invalid(text: String) throws {
        #expect(MetricsAddress(text) == nil)
        let errors = try #require(throws: ConfigurationErrors.self) {
            try MetricsAddress.read(ZEnvironment(values: ["METRICS": text]))
        }
        #expect(errors.errors.map(\.key) == ["METRICS"])
    }

    @Test("without it there is none", arguments: [[:], ["METRICS": ""]])
    func none(values: [String: String]) throws {
        #expect(try MetricsAddress.read(ZEnvironment(values: values)) == nil)
    }
}
