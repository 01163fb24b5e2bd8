import Glibc
import Testing
import TransportSecurity

/// Certificates for tests, of one authority and one key, valid from 2020 to 2120 where nothing else is said.
enum TLSFixtures {
    enum Certificate: String, CaseIterable {
        /// Of the authority, for mx1.test, b.test, *.wild.test and 127.0.0.1.
        case good
        /// Of the authority, for other.test.
        case wrongName
        /// As `good`, until 2021.
        case expired
        /// As `good`, signed with its own key.
        case selfSigned

        var pem: String {
            switch self {
            case .good: TLSFixtures.good
            case .wrongName: TLSFixtures.wrongName
            case .expired: TLSFixtures.expired
            case .selfSigned: TLSFixtures.selfSigned
            }
        }
    }

    /// `good`, as openssl(1) prints it.
    static let goodFingerprint =
        "8C:78:9B:82:65:28:80:6E:B9:6A:42:D3:DF:2F:11:40:CB:05:5E:69:B0:CC:BC:1E:0E:DD:E7:F9:E0:0B:99:07"

    /// A file with `text` that is gone when the value is.
    final class File {
        let path: String

        init(_ text: String) throws {
            var template = Array("/tmp/tlsfixture.XXXXXX".utf8CString)
            let descriptor = template.withUnsafeMutableBufferPointer { mkstemp($0.baseAddress!) }
            try #require(descriptor >= 0)
            path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let octets = Array(text.utf8)
            let written = write(descriptor, octets, octets.count)
            close(descriptor)
            try #require(written == octets.count)
        }

        deinit { unlink(path) }
    }

    static func server(
        _ certificate: Certificate, trusting authority: String? = nil,
        _ change: (inout TLSServerSettings) -> Void = { _ in }
    ) throws -> TLSServerContext {
        let file = try File(certificate.pem + "\n" + key)
        var settings = TLSServerSettings()
        change(&settings)
        var files = TLSMaterial.Files(certificate: file.path, key: nil)
        let authorities = try authority.map { try File($0) }
        files.authorities = authorities?.path
        return try withExtendedLifetime(authorities) {
            try TLSServerContext(try TLSMaterial.read(files), settings)
        }
    }

    static let authority = """
        -----BEGIN CERTIFICATE-----
        MIIBZjCCAQygAwIBAgICEAAwCgYIKoZIzj0EAwIwGTEXMBUGA1UEAwwOVGVzdCBh
        dXRob3JpdHkwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBkxFzAV
        BgNVBAMMDlRlc3QgYXV0aG9yaXR5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
        xdYoX9JkoH8dA7Ek+wguq+qk9MFaqCzSmjSWFh5tW+uKJkVqrgzqAm7VPEfDNtYU
        j5o/n6HUXXXZdpxiPaoG06NCMEAwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8E
        BAMCAgQwHQYDVR0OBBYEFHeG2OqAw6fnmxAwswCGsEXIBeLGMAoGCCqGSM49BAMC
        A0gAMEUCIAERlZgOgmXk5eO5cw7+T6+UKikXgRMdnW+eWvyweA5OAiEAzq8wnOni
        K4a7eeDVr7mACM3cj+PPnejdIAjF1Z0Rw/A=
        -----END CERTIFICATE-----
        """

    static let good = """
        -----BEGIN CERTIFICATE-----
        MIIBnDCCAUGgAwIBAgICEAEwCgYIKoZIzj0EAwIwGTEXMBUGA1UEAwwOVGVzdCBh
        dXRob3JpdHkwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAP
        BgNVBAMMCG14MS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWxMxTUOw
        +4vb2gQrGx4gJMjCtM0bufFQgIZ42l0nOPzKWGZl+IiXvqryCrfZobNfe5V/o1tQ
        ZS4m1pR6zwS0m6N9MHswLgYDVR0RBCcwJYIIbXgxLnRlc3SCBmIudGVzdIILKi53
        aWxkLnRlc3SHBH8AAAEwCQYDVR0TBAIwADAdBgNVHQ4EFgQU3slGnBUc2Mfw/bdV
        mxCnP76vGIMwHwYDVR0jBBgwFoAUd4bY6oDDp+ebEDCzAIawRcgF4sYwCgYIKoZI
        zj0EAwIDSQAwRgIhANctHb9D1vWa/6HXtQmuLM/MvN5dPdwV1K9krEswXXAaAiEA
        uZvjKIuykibDDT5vzB8siEfoJjoK767F86GjDTm9BuI=
        -----END CERTIFICATE-----
        """

    static let wrongName = """
        -----BEGIN CERTIFICATE-----
        MIIBgTCCASigAwIBAgICEAIwCgYIKoZIzj0EAwIwGTEXMBUGA1UEAwwOVGVzdCBh
        dXRob3JpdHkwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAP
        BgNVBAMMCG14MS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWxMxTUOw
        +4vb2gQrGx4gJMjCtM0bufFQgIZ42l0nOPzKWGZl+IiXvqryCrfZobNfe5V/o1tQ
        ZS4m1pR6zwS0m6NkMGIwFQYDVR0RBA4wDIIKb3RoZXIudGVzdDAJBgNVHRMEAjAA
        MB0GA1UdDgQWBBTeyUacFRzYx/D9t1WbEKc/vq8YgzAfBgNVHSMEGDAWgBR3htjq
        gMOn55sQMLMAhrBFyAXixjAKBggqhkjOPQQDAgNHADBEAiAIm7r60/1fWiwxOruV
        yCXaGOekd556VO0aR2Shp7ISGwIgB2v95MF9iyTuzm5b7T8rlKCIldjZK89CXNNu
        6trKOsI=
        -----END CERTIFICATE-----
        """

    static let expired = """
        -----BEGIN CERTIFICATE-----
        MIIBjDCCATKgAwIBAgICEAMwCgYIKoZIzj0EAwIwGTEXMBUGA1UEAwwOVGVzdCBh
        dXRob3JpdHkwHhcNMjAwMTAxMDAwMDAwWhcNMjEwMTAxMDAwMDAwWjATMREwDwYD
        VQQDDAhteDEudGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFsTMU1DsPuL
        29oEKxseICTIwrTNG7nxUICGeNpdJzj8ylhmZfiIl76q8gq32aGzX3uVf6NbUGUu
        JtaUes8EtJujcDBuMCEGA1UdEQQaMBiCCG14MS50ZXN0ggZiLnRlc3SHBH8AAAEw
        CQYDVR0TBAIwADAdBgNVHQ4EFgQU3slGnBUc2Mfw/bdVmxCnP76vGIMwHwYDVR0j
        BBgwFoAUd4bY6oDDp+ebEDCzAIawRcgF4sYwCgYIKoZIzj0EAwIDSAAwRQIhAO/V
        URNEQN3auMNtVcLOjeyurt7BX3BObWHoRnmJivC2AiAG7rbmRdkTqR9p5kVGRkYP
        O7kdkAsKBRZEevgd418L5A==
        -----END CERTIFICATE-----
        """

    static let selfSigned = """
        -----BEGIN CERTIFICATE-----
        MIIBXTCCAQKgAwIBAgICEAQwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIbXgxLnRl
        c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBMxETAPBgNVBAMM
        CG14MS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWxMxTUOw+4vb2gQr
        Gx4gJMjCtM0bufFQgIZ42l0nOPzKWGZl+IiXvqryCrfZobNfe5V/o1tQZS4m1pR6
        zwS0m6NEMEIwIQYDVR0RBBowGIIIbXgxLnRlc3SCBmIudGVzdIcEfwAAATAdBgNV
        HQ4EFgQU3slGnBUc2Mfw/bdVmxCnP76vGIMwCgYIKoZIzj0EAwIDSQAwRgIhAP8e
        mFktLfQjuqIwvJH6C5+lmQhFAWjB6K3XekQ02tcLAiEAlYEFgrgmr6TIuo8Xb5XQ
        9VmJvON5DI2ty6elEN6FmQU=
        -----END CERTIFICATE-----
        """

    static let key = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgFOkPL74yPYJrf9hf
        /Gozl0ziLPHb/aL/oxOfsHB3CcuhRANCAARbEzFNQ7D7i9vaBCsbHiAkyMK0zRu5
        8VCAhnjaXSc4/MpYZmX4iJe+qvIKt9mhs197lX+jW1BlLibWlHrPBLSb
        -----END PRIVATE KEY-----
        """
}
