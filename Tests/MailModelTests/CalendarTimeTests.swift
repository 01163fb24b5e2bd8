import MailModel
import Testing

@Suite struct CalendarTimeTests {
    @Test(
        "times of RFC 3339 are read",
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2026-11-26T12:00:00Z", 1_795_694_400), ("2000-02-29T23:59:59z", 951_868_799),
            ("2026-11-26T12:00:00.999Z", 1_795_694_400), ("2026-11-26T14:00:00+02:00", 1_795_694_400),
            ("2026-11-26t06:30:00-05:30", 1_795_694_400), ("1969-12-31T23:59:59Z", -1),
            ("2016-12-31T23:59:60Z", 1_483_228_799),
        ] as [(String, Int64)])
    func read(text: String, expected: Int64) {
        #expect(CalendarDate.unixTime(rfc3339: text) == expected)
    }

    @Test(
        "what is no such time is refused",
        arguments: [
            "", "2026-11-26", "2026-11-26T12:00:00", "2026-11-26 12:00:00Z", "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-31T00:00:00Z", "2026-11-00T00:00:00Z", "2026-11-26T24:00:00Z", "2026-11-26T12:60:00Z",
            "2026-11-26T12:00:00ZZ", "2026-11-26T12:00:00.Z", "2026-11-26T12:00:00+2:00", "2026-11-26T12:00:00+0200",
            "+026-11-26T12:00:00Z", "2026-11-26T12:00:00+24:00",
        ])
    func refused(text: String) {
        #expect(CalendarDate.unixTime(rfc3339: text) == nil)
    }

    @Test("each day of 400 years comes back")
    func roundTrip() {
        for day in stride(from: Int64(-50_000), to: 100_000, by: 7) {
            let time = day * 86400 + 12345
            #expect(CalendarDate.unixTime(rfc3339: CalendarDate(unixTime: time).rfc3339) == time)
        }
    }
}
