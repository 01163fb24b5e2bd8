import CWrap
import Glibc
import Testing

/// libwrap keeps its tables in globals and is not thread-safe, hence one suite, serialized.
@Suite("TCP wrappers", .serialized)
struct TCPWrappersTests {
    @Test(
        "tables of our own decide by the client's address",
        arguments: [("192.0.2.7", true), ("198.51.100.7", false), ("192.0.3.1", false)])
    func decides(address: String, isAllowed: Bool) throws {
        try withTemporaryDirectory { directory in
            try write("smtp-receiver: 192.0.2.\n", to: "\(directory)/allow")
            try write("ALL: ALL\n", to: "\(directory)/deny")
            // libwrap keeps the pointers: the copies must live until the check is done, and are ours to free.
            let allow = strdup("\(directory)/allow")
            let deny = strdup("\(directory)/deny")
            defer {
                free(allow)
                free(deny)
            }
            cwrap_set_tables(allow, deny)
            #expect((cwrap_check("smtp-receiver", nil, address, nil) != 0) == isAllowed)
        }
    }
}
