import CPAM
import Glibc
import Testing

@Suite("PAM")
struct PAMTests {
    /// Asks PAM whether `service` of the folder `configuration` lets `user` in; PAM's own result code.
    private func authenticate(service: String, user: String, configuration: String) throws -> Int32 {
        // Neither module of these tests asks anything, so a question is a failure of the test.
        var conversation = pam_conv(
            conv: { _, _, _, _ in
                PAM_CONV_ERR
            }, appdata_ptr: nil)
        return try withUnsafePointer(to: &conversation) { conversation in
            var handle: OpaquePointer?
            let started = pam_start_confdir(service, user, conversation, configuration, &handle)
            #expect(started == PAM_SUCCESS)
            let transaction = try #require(handle)
            let result = pam_authenticate(transaction, Int32(bitPattern: PAM_SILENT))
            #expect(pam_end(transaction, result) == PAM_SUCCESS)
            return result
        }
    }

    @Test(
        "a service of our own folder decides",
        arguments: [("pam_permit.so", PAM_SUCCESS), ("pam_deny.so", PAM_AUTH_ERR)])
    func decides(module: String, expected: Int32) throws {
        try withTemporaryDirectory { directory in
            try write("auth required \(module)\naccount required \(module)\n", to: "\(directory)/smtpauth-login")
            let result = try authenticate(service: "smtpauth-login", user: "alice", configuration: directory)
            #expect(result == expected)
        }
    }
}
