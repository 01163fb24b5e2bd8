import Glibc
import Testing

@testable import TransportSecurity

/// Certificates and keys for all tests, made once with openssl(1). The files are gone when they are in memory.
struct TestKeys: Sendable {
    /// By file name.
    private let files: [String: [UInt8]]

    private static let made = Result { try withTemporaryFolder { try TestKeys(in: $0) } }

    static func shared() throws -> TestKeys { try made.get() }

    func octets(_ name: String) throws -> [UInt8] { try #require(files[name], "no test file \(name)") }

    /// Writes the files into `folder`.
    func write(_ names: String..., to folder: String) throws {
        for name in names { try TransportSecurityTests.write(try octets(name), to: "\(folder)/\(name)") }
    }

    /// Who issues what, by the name before `.pem` and `.key`:
    /// `ca` → `ec`, `rsa`, `dsa`, `ed`, `other` (names of their own), `wild`, `cn`, `client`, `ended`; `ca` → `middle` → `deep`;
    /// `stranger` (its own issuer). `fullchain` is `deep` and `middle`.
    private init(in folder: String) throws {
        let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        func make(
            _ name: String, _ subject: String, names: String = "", issuer: String? = "ca",
            key: [String] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], isAuthority: Bool = false
        ) throws {
            var arguments = ["req", "-x509", "-nodes", "-days", "30", "-subj", subject] + key
            arguments += ["-keyout", "\(name).key", "-out", "\(name).pem"]
            if let issuer { arguments += ["-CA", "\(issuer).pem", "-CAkey", "\(issuer).key"] }
            if !isAuthority { arguments += ["-addext", "basicConstraints=critical,CA:FALSE"] }
            if !names.isEmpty { arguments += ["-addext", "subjectAltName=\(names)"] }
            try openssl(arguments, in: folder)
        }
        try TransportSecurityTests.write(Self.dsaParameters, to: "\(folder)/dsa.params")
        try make("ca", "/O=Tests/CN=Test CA", issuer: nil, key: ec, isAuthority: true)
        try make("ec", "/O=Tests/CN=mx.example.test", names: "DNS:mx.example.test,DNS:mail.example.test,IP:192.0.2.25")
        try make("rsa", "/O=Tests/CN=mx.example.test", names: "DNS:mx.example.test", key: ["-newkey", "rsa:2048"])
        try make(
            "dsa", "/O=Tests/CN=mx.example.test", names: "DNS:mx.example.test", key: ["-newkey", "dsa:dsa.params"])
        try make("ed", "/O=Tests/CN=mx.example.test", names: "DNS:mx.example.test", key: ["-newkey", "ed25519"])
        try make("other", "/CN=other.example.test", names: "DNS:other.example.test,DNS:MX.Other.Test")
        try make(
            "otherrsa", "/CN=other.example.test", names: "DNS:other.example.test,DNS:mx.other.test",
            key: ["-newkey", "rsa:2048"])
        try make("wild", "/CN=wild", names: "DNS:*.wild.test,DNS:f*.part.test,DNS:a.*.inner.test")
        try make("cn", "/O=Tests/CN=cn.example.test")
        try make("client", "/O=Tests/CN=first/CN=client.example.test")
        try openssl(
            ["req", "-new", "-nodes", "-subj", "/CN=ended.example.test", "-keyout", "ended.key", "-out", "ended.req"]
                + ec
                + ["-addext", "subjectAltName=DNS:ended.example.test"], in: folder)
        try openssl(
            "x509", "-req", "-in", "ended.req", "-copy_extensions", "copyall", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-days", "-1", "-out", "ended.pem", in: folder)
        try make("middle", "/CN=Middle CA", isAuthority: true)
        try make("deep", "/CN=deep.example.test", names: "DNS:deep.example.test", issuer: "middle")
        try make("stranger", "/CN=mx.example.test", names: "DNS:mx.example.test", issuer: nil)
        try make("small", "/CN=small.example.test", key: ["-newkey", "rsa:1024"])
        try openssl(
            "pkey", "-in", "ec.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key", in: folder)
        try openssl(
            "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out", "dh2048", in: folder)
        try openssl("dhparam", "-dsaparam", "-out", "dh512", "512", in: folder)
        var files: [String: [UInt8]] = [:]
        for name in [
            "ca", "ec", "rsa", "dsa", "ed", "other", "otherrsa", "wild", "cn", "client", "ended", "middle", "deep",
            "stranger", "small",
        ] {
            for file in ["\(name).pem", "\(name).key"] {
                files[file] = try TransportSecurityTests.octets(of: "\(folder)/\(file)")
            }
        }
        for file in ["locked.key", "dh2048", "dh512", "dsa.params"] {
            files[file] = try TransportSecurityTests.octets(of: "\(folder)/\(file)")
        }
        files["fullchain.pem"] = (files["deep.pem"] ?? []) + (files["middle.pem"] ?? [])
        self.files = files
    }

    /// Finding new ones takes seconds; they are no secret.
    private static let dsaParameters = """
        -----BEGIN DSA PARAMETERS-----
        MIICLQKCAQEAwKUrPwlgLGRJE9KYJeXrkZFfX5SPebWXjY5fonR6jEjZBnU3RTgJ
        Ldm0lKpJAvntlowXuCTdicztdeJZBzRD8URdkRUG1bArk+OdmjMibFd+W/3E/DEQ
        joCMHdg4IveBYSPUlH8onqNc1ujqgfEYHMnRRBmJdqNDzOwQ+inms00p+i9JMgb0
        FOJDF2aqV3VfIXYpCzr3G2ltJ0Fd8RNoSi681VmvNM5/nW77wFNaanyWFflxS5Bz
        IF6z71ii2TB+ccYJsVDpEM1nvcJkTlp6PUzfkOaLhncwBvaMXGQDKpCnqKwMTrE8
        8tjOLLtyin5QmgOuulDjyh2WCDb3iBMFJQIhAMoYL5UaRZ6uH4RC0+AxW1AgEd6o
        dnhFAPzMRW91+Vq1AoIBAQCik9FWCiwXE5rkNiOdMNGPpNSaPuWIrk6iNEYl6VQT
        hirdOR0M/DXBIdfyl8HCNQacEAh45TvCzIxRktnPeB5ICbFPfW8tnuh8GB9VW1ct
        ZE5XQQF0AAmjWEWs3/JWCSX2C4I2dTnG6VYipTGWRR3mcmuCdnY74bLGlYUYw9Dh
        akXg5dSsMa1pxRphn0IHXgVHEZH0KuqiV9E3XRq7baR24WhdswwTJCW7RRerpybQ
        pqoZREVW9UiB5rl3X3XbCyAwHYdR+n8yanIRF19/8vokXQH1XYbm6CN+An8syB6c
        GDUDGVyXKtLy8aLFlCKo5xOi5pFlsImmQxqAn4b5VU4j
        -----END DSA PARAMETERS-----

        """
}

extension TestKeys {
    func identity(_ certificate: String, key: String? = nil) throws -> TLSMaterial.Identity {
        let key = key ?? certificate
        return TLSMaterial.Identity(
            certificateFile: "\(certificate).pem", keyFile: "\(key).key",
            certificate: try octets("\(certificate).pem"), key: try octets("\(key).key"))
    }

    /// Material as ``TLSMaterial/read(_:)`` would make it.
    func material(
        _ certificate: String? = nil, key: String? = nil, second: String? = nil, named: [String] = [],
        authorities: String? = nil, ticketKey: UInt8? = nil
    ) throws -> TLSMaterial {
        var material = TLSMaterial()
        if let certificate { material.identity = try identity(certificate, key: key) }
        if let second { material.secondIdentity = try identity(second) }
        material.namedIdentities = try named.map { try identity($0) }
        if let authorities {
            material.authorities = TLSMaterial.Text(
                file: "\(authorities).pem", octets: try octets("\(authorities).pem"))
        }
        if let ticketKey { material.ticketKey = [UInt8](repeating: ticketKey, count: 80) }
        return material
    }
}
