import Configuration
import Testing

@Suite("FREEZERMAXAGE and FREEZERAGED")
struct FreezerAgeingTests {
    @Test(
        "without an age mail stays; with one it is dropped unless something else is wanted",
        arguments: [
            ([:], nil), (["FREEZERMAXAGE": ""], nil),
            (["FREEZERMAXAGE": "30d"], FreezerAgeing(maximumAge: 2_592_000, action: .drop)),
            (["FREEZERMAXAGE": "1w2d", "FREEZERAGED": "bounce"], FreezerAgeing(maximumAge: 777_600, action: .bounce)),
            (["FREEZERMAXAGE": "1s", "FREEZERAGED": "RELEASE"], FreezerAgeing(maximumAge: 1, action: .release)),
        ] as [([String: String], FreezerAgeing?)])
    func valid(values: [String: String], expected: FreezerAgeing?) throws {
        #expect(try FreezerAgeing.read(ZEnvironment(values: values)) == expected)
    }

    @Test(
        "a mistake is told with the key and what would be valid",
        arguments: [
            (["FREEZERMAXAGE": "soon"], "FREEZERMAXAGE: 'soon' is no time; valid are 30d"),
            (["FREEZERMAXAGE": "0"], "FREEZERMAXAGE: '0' is no time"),
            (["FREEZERMAXAGE": "11000d"], "FREEZERMAXAGE: '11000d'"),
            (["FREEZERMAXAGE": "1d", "FREEZERAGED": "keep"], "'keep' is not known; valid are bounce, drop, release"),
            (["FREEZERAGED": "drop"], "FREEZERAGED: without FREEZERMAXAGE"),
        ])
    func invalid(values: [String: String], expected: String) {
        var values = values
        values["ZCONFIG"] = "/etc/z.conf"
        let error = #expect(throws: ConfigurationErrors.self) {
            try FreezerAgeing.read(ZEnvironment(values: values))
        }
        #expect(error?.errors.count == 1)
        #expect(error?.description.contains(expected) == true, "\(error?.description ?? "")")
        #expect(error?.description.hasPrefix("/etc/z.conf: FREEZER") == true)
    }
}
