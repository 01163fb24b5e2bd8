import Configuration
import Glibc
import TransportSecurity

/// Which groups of listeners have TLS, with what.
struct TLSPlan: Sendable {
    struct Group: Sendable {
        /// As in ``ListenerRole``.
        let index: Int
        let files: TLSMaterial.Files
        let settings: TLSServerSettings
        let logLevel: Int
    }

    let groups: [Group]

    init(_ settings: Settings) {
        let all = [settings.configuration] + settings.configuration.groups
        groups = all.enumerated().compactMap { index, configuration in
            let isImplicit = configuration.listensSMTPS || configuration.listeners.contains { $0.service == .smtps }
            guard configuration.tls.isOn || isImplicit || (index == 0 && settings.options.startsTLS) else { return nil }
            return Group(
                index: index, files: Self.files(configuration.tls), settings: Self.settings(configuration.tls),
                logLevel: configuration.tls.logLevel)
        }
    }

    var isEmpty: Bool { groups.isEmpty }

    private static func files(_ tls: SMTPServerConfiguration.TLS) -> TLSMaterial.Files {
        func path(_ text: String) -> String? { text.isEmpty ? nil : text }
        var files = TLSMaterial.Files(certificate: path(tls.certificateFile), key: path(tls.keyFile))
        if let second = path(tls.secondCertificateFile) ?? path(tls.secondKeyFile) {
            files.secondPair = TLSMaterial.Files.Pair(
                certificate: second, key: path(tls.secondKeyFile) ?? second)
        }
        files.namedPairs = tls.namedCertificates.map {
            TLSMaterial.Files.Pair(certificate: $0.certificate, key: $0.key)
        }
        files.authorities = path(tls.authoritiesFile)
        files.dhParameters = [path(tls.dhFile1024), path(tls.dhFile512)].compactMap { $0 }
        files.ticketKey = path(tls.ticketKeyFile)
        return files
    }

    private static func settings(_ tls: SMTPServerConfiguration.TLS) -> TLSServerSettings {
        var settings = TLSServerSettings()
        settings.minimumProtocol = TLSProtocolVersion(tls.minimumProtocol.rawValue) ?? .tls12
        if !tls.cipherList.isEmpty { settings.cipherList = tls.cipherList }
        if !tls.ciphersuites.isEmpty { settings.cipherSuites = tls.ciphersuites }
        settings.clientCertificates =
            tls.requiresCertificate ? .require : tls.asksForCertificate ? .ask : .none
        settings.verifyDepth = tls.verifyDepth
        if !tls.authoritiesPath.isEmpty { settings.authoritiesFolder = tls.authoritiesPath }
        settings.isResumptionOn = tls.resumesSessions
        settings.sessionLifetime = .seconds(tls.sessionLifetime)
        return settings
    }

    /// What the files hold now, tried out: a certificate that no worker could use goes to none.
    func read() throws(TLSFailure) -> TLSBundle {
        var materials: [Int: TLSMaterial] = [:]
        for group in groups {
            let material = try TLSMaterial.read(group.files)
            _ = try TLSServerContext(material, group.settings)
            materials[group.index] = material
        }
        return TLSBundle(materials: materials)
    }

    /// Changes when one of the files does.
    var signature: [TLSMaterial.Signature] { groups.map { TLSMaterial.signature(of: $0.files) } }

    /// Certificates that expire soon or have expired; with the group's first file.
    func warnings(_ bundle: TLSBundle) -> [String] {
        groups.flatMap { bundle.materials[$0.index]?.problems(now: Int64(time(nil))) ?? [] }
    }
}

/// Keys and certificates of all groups, on their way from the master, which may read them, to a worker.
struct TLSBundle: Sendable {
    var materials: [Int: TLSMaterial]

    struct Unreadable: Error {}

    init(materials: [Int: TLSMaterial]) { self.materials = materials }

    /// For each group: its index, and the length of what follows, four octets each.
    func encoded() -> [UInt8] {
        var octets: [UInt8] = []
        for (index, material) in materials.sorted(by: { $0.key < $1.key }) {
            let encoded = material.encoded()
            Self.append(UInt32(index), to: &octets)
            Self.append(UInt32(encoded.count), to: &octets)
            octets += encoded
        }
        return octets
    }

    init(octets: [UInt8]) throws(Unreadable) {
        materials = [:]
        var rest = octets[...]
        while !rest.isEmpty {
            guard let index = Self.number(&rest), let count = Self.number(&rest), rest.count >= Int(count),
                let material = try? TLSMaterial(octets: Array(rest.prefix(Int(count))))
            else { throw Unreadable() }
            rest = rest.dropFirst(Int(count))
            materials[Int(index)] = material
        }
    }

    static func append(_ number: UInt32, to octets: inout [UInt8]) {
        for shift in [24, 16, 8, 0] as [UInt32] { octets.append(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    static func number(_ octets: inout ArraySlice<UInt8>) -> UInt32? {
        guard octets.count >= 4 else { return nil }
        defer { octets = octets.dropFirst(4) }
        return octets.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }
}
