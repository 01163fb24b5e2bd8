import Configuration
import Testing

@Suite("House-keeping in zmailer.conf") struct HouseKeepingTests {
    @Test("without keys the queue is checked hourly, drafts go after a day, and postman/ stays")
    func defaults() throws {
        let keeping = try HouseKeeping.read(ZEnvironment())
        #expect(keeping.checkInterval == 3600 && keeping.publicAge == 86_400 && keeping.postmanAge == nil)
    }

    @Test(
        "keys are times, or never",
        arguments: [
            (["QUEUECHECK": "10m", "PUBLICMAXAGE": "12h", "POSTMANMAXAGE": "90d"], 600, 43_200, 7_776_000),
            (["QUEUECHECK": "never", "POSTMANMAXAGE": "Never"], nil, 86_400, nil),
            (["QUEUECHECK": "", "PUBLICMAXAGE": "", "POSTMANMAXAGE": ""], 3600, 86_400, nil),
        ] as [([String: String], Int64?, Int64, Int64?)])
    func values(values: [String: String], check: Int64?, draft: Int64, postman: Int64?) throws {
        let keeping = try HouseKeeping.read(ZEnvironment(values: values))
        #expect(keeping.checkInterval == check && keeping.publicAge == draft && keeping.postmanAge == postman)
    }

    @Test("all mistakes are told, with what is valid")
    func mistakes() throws {
        let environment = ZEnvironment(values: [
            "ZCONFIG": "/etc/z.conf", "QUEUECHECK": "5s", "PUBLICMAXAGE": "59m", "POSTMANMAXAGE": "soon",
        ])
        let errors = try #require(throws: ConfigurationErrors.self) { try HouseKeeping.read(environment) }
        #expect(errors.errors.map(\.key) == ["QUEUECHECK", "PUBLICMAXAGE", "POSTMANMAXAGE"])
        #expect(errors.errors.allSatisfy { $0.file == "/etc/z.conf" && $0.reason.contains("valid is") })
    }
}
