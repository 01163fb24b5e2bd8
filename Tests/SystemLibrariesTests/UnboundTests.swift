import CUnbound
import Testing

@Suite("libunbound")
struct UnboundTests {
    private static let typeA: Int32 = 1
    private static let typeMX: Int32 = 15
    private static let classIN: Int32 = 1

    private func withContext<Result>(_ body: (OpaquePointer) throws -> Result) throws -> Result {
        let context = try #require(ub_ctx_create())
        defer { ub_ctx_delete(context) }
        #expect(ub_ctx_zone_add(context, "example.test.", "static") == 0)
        #expect(ub_ctx_data_add(context, "mx.example.test. 300 IN A 192.0.2.25") == 0)
        #expect(ub_ctx_data_add(context, "example.test. 300 IN MX 10 mx.example.test.") == 0)
        return try body(context)
    }

    @Test("a local zone answers without a network")
    func address() throws {
        try withContext { context in
            var answer: UnsafeMutablePointer<ub_result>?
            #expect(ub_resolve(context, "mx.example.test", Self.typeA, Self.classIN, &answer) == 0)
            let result = try #require(answer)
            defer { ub_resolve_free(result) }
            #expect(result.pointee.havedata != 0)
            let octets = try #require(result.pointee.data[0])
            #expect(result.pointee.len[0] == 4)
            let address = (0..<4).map { UInt8(bitPattern: octets[$0]) }
            #expect(address == [192, 0, 2, 25])
        }
    }

    @Test("a name that the zone does not have is NXDOMAIN, a type that the name does not have is no data")
    func negative() throws {
        try withContext { context in
            for (name, type, isAbsent) in [
                ("nobody.example.test", Self.typeA, true), ("mx.example.test", Self.typeMX, false),
            ] {
                var answer: UnsafeMutablePointer<ub_result>?
                #expect(ub_resolve(context, name, type, Self.classIN, &answer) == 0)
                let result = try #require(answer)
                defer { ub_resolve_free(result) }
                #expect(result.pointee.havedata == 0)
                #expect((result.pointee.nxdomain != 0) == isAbsent)
            }
        }
    }
}
