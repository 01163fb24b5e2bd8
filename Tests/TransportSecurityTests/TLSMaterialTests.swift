import Glibc
import Testing

@testable import TransportSecurity

@Suite("TLS material")
struct TLSMaterialTests {
    struct Bad: Sendable, CustomTestStringConvertible {
        var certificate: String? = "ec.pem"
        var key: String? = "ec.key"
        var change: @Sendable (inout TLSMaterial.Files, String) -> Void = { _, _ in }
        /// FOLDER stands for the folder.
        let error: String
        var testDescription: String { error }
    }

    private static let bad = [
        Bad(certificate: "nowhere.pem", error: "FOLDER/nowhere.pem: there is no such file"),
        Bad(key: "nowhere.key", error: "FOLDER/nowhere.key: there is no such file"),
        Bad(certificate: "folder", error: "FOLDER/folder: is not a regular file"),
        Bad(certificate: "empty", error: "FOLDER/empty: no PEM certificate in it (-----BEGIN CERTIFICATE-----)"),
        Bad(certificate: "ec.key", error: "FOLDER/ec.key: no PEM certificate in it (-----BEGIN CERTIFICATE-----)"),
        Bad(certificate: nil, error: "FOLDER/ec.key: no PEM certificate in it (-----BEGIN CERTIFICATE-----)"),
        Bad(key: nil, error: "FOLDER/ec.pem: no PEM private key in it (-----BEGIN PRIVATE KEY-----)"),
        Bad(certificate: "damaged.pem", error: "FOLDER/damaged.pem: certificate 1 in it is damaged: "),
        Bad(certificate: "cut.pem", error: "FOLDER/cut.pem: certificate 2 in it is damaged: "),
        Bad(key: "damaged.key", error: "FOLDER/damaged.key: the private key is damaged: "),
        Bad(
            key: "locked.key",
            error: "FOLDER/locked.key: the key needs a password; store it without one (openssl pkey -in FILE -out FILE)"
        ),
        Bad(
            key: "rsa.key",
            error: "FOLDER/rsa.key: the key does not belong to the (first) certificate of FOLDER/ec.pem, "
                + "CN=mx.example.test,O=Tests"),
        Bad(
            key: "other.key",
            error: "FOLDER/other.key: the key does not belong to the (first) certificate of FOLDER/ec.pem, "
                + "CN=mx.example.test,O=Tests"),
        Bad(certificate: "long", error: "FOLDER/long: is longer than 4194304 octets"),
        Bad(
            change: { $0.authorities = "\($1)/ec.key" },
            error: "FOLDER/ec.key: no PEM certificate in it (-----BEGIN CERTIFICATE-----)"),
        Bad(change: { $0.authorities = "\($1)/none" }, error: "FOLDER/none: there is no such file"),
        Bad(
            change: { $0.dhParameters = ["\($1)/ec.pem"] },
            error: "FOLDER/ec.pem: no DH parameters in it (-----BEGIN DH PARAMETERS-----): "),
        Bad(
            change: { $0.dhParameters = ["\($1)/dsa.params"] },
            error: "FOLDER/dsa.params: it holds parameters of another kind; -----BEGIN DH PARAMETERS----- is valid"),
        Bad(
            change: { $0.ticketKey = "\($1)/ec.pem" },
            error: "FOLDER/ec.pem: a ticket key has 48 or 80 octets, this one has "),
        Bad(
            change: { $0.ticketKey = "\($1)/none/ticket" },
            error: "FOLDER/none/ticket: cannot be made: open: No such file or directory"),
        Bad(
            change: { $0.namedPairs = [.init(certificate: "\($1)/other.pem")] },
            error: "FOLDER/other.pem: no PEM private key in it"),
        Bad(
            change: {
                $0.pair = nil
                $0.secondPair = .init(certificate: "\($1)/ec.pem")
            }, error: "FOLDER/ec.pem: a second certificate needs a first one"),
        Bad(
            change: { $0.namedPairs = Array(repeating: .init(certificate: $1), count: 1001) },
            error: "1001 certificates by name; 1000 at most are valid"),
    ]

    private func fill(_ folder: String) throws {
        let keys = try TestKeys.shared()
        try keys.write(
            "ec.pem", "ec.key", "rsa.pem", "rsa.key", "other.pem", "other.key", "locked.key", "dsa.params", "ca.pem",
            "dh2048", "dh512", "ended.pem", "ended.key", to: folder)
        let certificate = try keys.octets("ec.pem")
        try write(certificate + certificate.prefix(certificate.count / 2), to: "\(folder)/cut.pem")
        var damaged = certificate
        damaged[60] = UInt8(ascii: "!")
        try write(damaged, to: "\(folder)/damaged.pem")
        damaged = try keys.octets("ec.key")
        damaged[40] ^= 1
        try write(damaged, to: "\(folder)/damaged.key")
        try write("", to: "\(folder)/empty")
        try write([UInt8](repeating: 0x41, count: 4 << 20 + 1), to: "\(folder)/long")
        mkdir("\(folder)/folder", 0o700)
    }

    @Test("a bad file is named with what is wrong", arguments: bad)
    func badFiles(row: Bad) throws {
        try withTemporaryFolder { folder in
            try fill(folder)
            var files = TLSMaterial.Files(
                certificate: row.certificate.map { "\(folder)/\($0)" }, key: row.key.map { "\(folder)/\($0)" })
            row.change(&files, folder)
            let failure = try #require(throws: TLSFailure.self) { try TLSMaterial.read(files) }
            #expect(failure.kind == .configuration)
            let text = replace(folder, by: "FOLDER", in: failure.description)
            #expect(text.hasPrefix(row.error))
            #expect(row.error.hasSuffix(": ") || row.error.hasSuffix(" ") || text.contains(row.error))
        }
    }

    private func replace(_ old: String, by new: String, in text: String) -> String {
        var parts: [Substring] = []
        var rest = text[...]
        while let index = rest.indices.first(where: { rest[$0...].hasPrefix(old) }) {
            parts.append(rest[..<index])
            rest = rest[rest.index(index, offsetBy: old.count)...]
        }
        return (parts + [rest]).joined(separator: new)
    }

    private func files(_ folder: String) -> TLSMaterial.Files {
        var files = TLSMaterial.Files(certificate: "\(folder)/ec.pem", key: "\(folder)/ec.key")
        files.secondPair = .init(certificate: "\(folder)/rsa.pem", key: "\(folder)/rsa.key")
        files.namedPairs = [.init(certificate: "\(folder)/other.pem", key: "\(folder)/other.key")]
        files.authorities = "\(folder)/ca.pem"
        files.dhParameters = ["\(folder)/dh512", "\(folder)/dh2048"]
        files.ticketKey = "\(folder)/ticket"
        return files
    }

    @Test("good files are read, and one file may hold both certificate and key")
    func goodFiles() throws {
        try withTemporaryFolder { folder in
            try fill(folder)
            let material = try TLSMaterial.read(files(folder))
            #expect(material.identities.count == 3)
            _ = try TLSServerContext(material, .init())
            let keys = try TestKeys.shared()
            try write(try keys.octets("ec.key") + keys.octets("ec.pem"), to: "\(folder)/both")
            for files in [
                TLSMaterial.Files(certificate: "\(folder)/both", key: nil),
                TLSMaterial.Files(certificate: nil, key: "\(folder)/both"),
            ] {
                _ = try TLSServerContext(try TLSMaterial.read(files), .init())
            }
        }
    }

    @Test("its encoding gives the same again, and no part of it does")
    func encoding() throws {
        try withTemporaryFolder { folder in
            try fill(folder)
            chmod("\(folder)/ec.key", 0o644)
            let material = try TLSMaterial.read(files(folder))
            #expect(!material.warnings.isEmpty)
            let octets = material.encoded()
            let again = try TLSMaterial(octets: octets)
            let isSame = again == material
            #expect(isSame)
            for count in octets.indices {
                #expect(throws: TLSFailure.self) { try TLSMaterial(octets: Array(octets[..<count])) }
            }
            #expect(throws: TLSFailure.self) { try TLSMaterial(octets: octets + [0]) }
            #expect(try TLSMaterial(octets: TLSMaterial().encoded()) == TLSMaterial())
        }
    }

    @Test("an encoding with counts of any size is refused or read, and costs no more than it is long")
    func damagedEncoding() throws {
        let octets = try TestKeys.shared().material("ec", authorities: "ca", ticketKey: 1).encoded()
        for index in stride(from: 0, to: octets.count, by: 7) {
            var damaged = octets
            damaged[index] = 0xff
            if let read = try? TLSMaterial(octets: damaged) {
                let isSame = read.encoded() == damaged
                #expect(isSame, "octet \(index)")
            }
        }
    }

    @Test("no description shows a key")
    func descriptions() throws {
        let material = try TestKeys.shared().material("ec", ticketKey: 0x41)
        struct Holder { let material: TLSMaterial }
        var dumped = ""
        dump(material, to: &dumped)
        dump(Holder(material: material), to: &dumped)
        let texts = [
            "\(material)", String(reflecting: material), "\(Holder(material: material))", "\([material])", dumped,
        ]
        for text in texts {
            #expect(!text.contains("PRIVATE") && !text.contains("45, 45, 45") && !text.contains("65, 65"))
            #expect(text.contains("keys not shown"))
        }
    }

    @Test("a missing ticket key is made for its owner alone and then stays")
    func ticketKey() throws {
        try withTemporaryFolder { folder in
            try fill(folder)
            let first = try TLSMaterial.read(files(folder))
            var info = stat()
            try #require(stat("\(folder)/ticket", &info) == 0)
            #expect(info.st_mode & 0o7777 == 0o600)
            #expect(info.st_nlink == 1)
            #expect(try octets(of: "\(folder)/ticket") == first.ticketKey)
            #expect(try TLSMaterial.read(files(folder)).ticketKey == first.ticketKey)
            var without = files(folder)
            without.ticketKey = nil
            #expect(try TLSMaterial.read(without).ticketKey != TLSMaterial.read(without).ticketKey)
            try write([UInt8](repeating: 7, count: 48), to: "\(folder)/ticket")
            let short = try TLSMaterial.read(files(folder)).ticketKey
            #expect(short.count == 80)
            #expect(short[16..<48] != short[48...])
        }
    }

    @Test("a signature changes when a file changes, comes or goes, and not otherwise")
    func signature() throws {
        try withTemporaryFolder { folder in
            try fill(folder)
            let files = files(folder)
            var last = TLSMaterial.signature(of: files)
            #expect(TLSMaterial.signature(of: files) == last)
            let changes: [(String, () throws -> Void)] = [
                ("made", { _ = try TLSMaterial.read(files) }),
                ("replaced", { try TestKeys.shared().write("ec.key", to: folder) }),
                ("removed", { unlink("\(folder)/ca.pem") }),
                ("mode", { chmod("\(folder)/rsa.pem", 0o640) }),
                ("other", { try write("x", to: "\(folder)/dh512") }),
            ]
            for (what, change) in changes {
                try change()
                let now = TLSMaterial.signature(of: files)
                #expect(now != last, "\(what)")
                last = now
            }
        }
    }

    @Test("problems are told: ended and ending certificates, open keys, weak parameters")
    func problems() throws {
        try withTemporaryFolder { folder in
            try fill(folder)
            var files = TLSMaterial.Files(certificate: "\(folder)/ec.pem", key: "\(folder)/ec.key")
            files.namedPairs = [.init(certificate: "\(folder)/ended.pem", key: "\(folder)/ended.key")]
            files.dhParameters = ["\(folder)/dh512", "\(folder)/dh2048"]
            chmod("\(folder)/ec.key", 0o604)
            let material = try TLSMaterial.read(files)
            func problems(_ now: Int64) -> [String] {
                material.problems(now: now).map { replace(folder, by: "FOLDER", in: $0) }
            }
            let certificate = try PEM.certificates(try TestKeys.shared().octets("ec.pem"))[0]
            let begin = try #require(certificate.notBefore)
            let end = try #require(certificate.notAfter)
            let open = "FOLDER/ec.key: the key may be used by everybody on this host (mode 0604)"
            let weak = "FOLDER/dh512: DH parameters of 512 bits are too weak and not used; 2048 bits or more are valid"
            let subject = "FOLDER/ec.pem: CN=mx.example.test,O=Tests, "
            let now = problems(begin + 1)
            #expect(now.first == open && now.last == weak && now.count == 3)
            #expect(now.dropFirst().first?.hasPrefix("FOLDER/ended.pem: CN=ended.example.test, expired on ") == true)
            func own(_ now: Int64) -> [String] { problems(now).filter { $0.hasPrefix(subject) } }
            for (time, text) in [
                (end - 15 * 86_400, ""), (end - 15 * 86_400 + 1, "expires in 14 days, on "),
                (end - 86_401, "expires in 1 day, on "), (end - 60, "expires in 0 days, on "),
                (end, "expires in 0 days, on "),
                (end + 1, "expired on "), (begin - 1, "is not valid before "), (begin, ""),
            ] {
                #expect(own(time).first.map { $0.hasPrefix(subject + text) } ?? text.isEmpty)
                #expect(own(time).count == (text.isEmpty ? 0 : 1))
            }
        }
    }
}
