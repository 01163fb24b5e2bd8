import SMTPProtocol
import Testing

@Suite("Tarpit")
struct TarpitTests {
    @Test(
        "delays grow by their exponent up to the limit, in whole seconds",
        arguments: [
            (0, 0, 0, [0, 0, 0]), (0, 1, 250, [0, 0, 0]), (1, 1, 250, [1, 2, 4, 8, 16, 32, 64, 128, 250, 250]),
            (1, 0, 250, [1, 1, 1]), (2, 0.5, 250, [2, 3, 5, 7, 10, 15]), (0.3, 1, 10, [0, 0, 1, 2, 5, 10, 10]),
            (0.5, 0, 10, [0, 0, 0]), (5, 0, 0, [5, 0, 0]), (20, 1, 10, [20, 10, 10]), (1.4, 0, 9, [1, 1]),
            (2.5, 0, 9, [3, 3]), (86_400, 86_400, 86_400, [86_400, 86_400]),
        ] as [(Double, Double, Double, [Int])])
    func delays(initial: Double, exponent: Double, limit: Double, expected: [Int]) throws {
        var tarpit = Tarpit(try #require(Tarpit.Settings(initial: initial, exponent: exponent, topLimit: limit)))
        for (index, seconds) in expected.enumerated() {
            #expect(tarpit.refused() == (seconds == 0 ? nil : .seconds(seconds)), "refusal \(index + 1)")
        }
    }

    @Test("numbers that are no delays are refused", arguments: [-1, 86_401, .infinity, -.infinity, .nan] as [Double])
    func settings(number: Double) {
        #expect(Tarpit.Settings(initial: number, exponent: 0, topLimit: 0) == nil)
        #expect(Tarpit.Settings(initial: 0, exponent: number, topLimit: 0) == nil)
        #expect(Tarpit.Settings(initial: 0, exponent: 0, topLimit: number) == nil)
    }

    @Test("without settings nobody waits")
    func none() {
        var tarpit = Tarpit(.none)
        for _ in 0..<1000 { #expect(tarpit.refused() == nil) }
        #expect(tarpit.delay == 0)
    }
}
