import Testing

@testable import PolicyEngine

@Suite("Bounded cache")
struct BoundedCacheTests {
    @Test("it never holds more than its limit, and keeps what is used")
    func bound() {
        var cache = BoundedCache<Int, Int>(limit: 10)
        cache[-1] = 7
        for number in 0..<1000 {
            cache[number] = number
            #expect(cache[-1] == 7)
            #expect(cache.count <= 10)
            #expect(cache[number] == number)
        }
        #expect(cache[0] == nil)
    }

    @Test("the newest half is always there")
    func newest() {
        var cache = BoundedCache<Int, Int>(limit: 10)
        for number in 0..<100 { cache[number] = number }
        for number in 95..<100 { #expect(cache.peek(number) == number) }
    }

    @Test("removing removes from both generations")
    func removing() {
        var cache = BoundedCache<Int, Int>(limit: 4)
        for number in 0..<4 { cache[number] = number }
        cache[0] = nil
        cache[3] = nil
        #expect(cache.peek(0) == nil)
        #expect(cache.peek(3) == nil)
        cache[1] = nil
        cache[2] = nil
        #expect(cache.count == 0)
    }

    @Test("a value that is set again replaces the old one, wherever that was")
    func replacing() {
        var cache = BoundedCache<Int, Int>(limit: 4)
        for number in 0..<3 { cache[number] = number }
        cache[0] = 10
        #expect(cache[0] == 10)
        for number in 3..<5 { cache[number] = number }
        #expect(cache.peek(0) == nil || cache.peek(0) == 10)
    }
}
