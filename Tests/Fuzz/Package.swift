// swift-tools-version: 6.2
import PackageDescription

// Fuzz targets of the decoders of outside input, each with a property. Run them with `Tests/Fuzz/run`.
// The modules under test are linked in as sources, so that they are built with the fuzzer's instrumentation and nothing
// else of the main package is built at all.

let features: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

func fuzz(_ name: String, _ module: Target.Dependency = "SMTPProtocol") -> Target {
    .executableTarget(
        name: name, dependencies: ["FuzzSupport", module, "MailModel"],
        swiftSettings: features + [.unsafeFlags(["-parse-as-library"])])
}

let package = Package(
    name: "fuzz",
    targets: [
        .target(name: "MailModel", swiftSettings: features),
        .target(name: "SMTPProtocol", dependencies: ["MailModel"], swiftSettings: features),
        .target(name: "Policy", dependencies: ["MailModel"], swiftSettings: features),
        .target(name: "SASL", dependencies: ["MailModel"], swiftSettings: features),
        .target(name: "PeerIdentity", dependencies: ["MailModel"], swiftSettings: features),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl"),
        .target(name: "TransportSecurity", dependencies: ["COpenSSL", "MailModel"], swiftSettings: features),
        .target(name: "SpoolFormat", dependencies: ["MailModel"], swiftSettings: features),
        .target(name: "AgentProtocol", dependencies: ["MailModel", "SpoolFormat"], swiftSettings: features),
        .target(name: "ContentFiltering", dependencies: ["MailModel", "SpoolFormat"], swiftSettings: features),
        .target(name: "FuzzSupport", swiftSettings: features),
        fuzz("FuzzCommandDecoder"),
        .executableTarget(
            name: "FuzzContentFilter", dependencies: ["FuzzSupport", "ContentFiltering", "MailModel", "SpoolFormat"],
            swiftSettings: features + [.unsafeFlags(["-parse-as-library"])]),
        fuzz("FuzzCredentialLine", "SASL"),
        fuzz("FuzzDataDecoder"),
        fuzz("FuzzPeerTexts", "PeerIdentity"),
        fuzz("FuzzProxyHeader", "PeerIdentity"),
        fuzz("FuzzMailq", "AgentProtocol"),
        .target(name: "Configuration", dependencies: ["MailModel"], swiftSettings: features),
        fuzz("FuzzConfiguration", "Configuration"),
        .target(name: "MessageConversion", dependencies: ["MailModel"], swiftSettings: features),
        fuzz("FuzzMessageConversion", "MessageConversion"),
        .target(name: "MilterProtocol", dependencies: ["MailModel"], swiftSettings: features),
        fuzz("FuzzMilter", "MilterProtocol"),
        fuzz("FuzzReplyParser"),
        .target(name: "DeliveryStatus", dependencies: ["MailModel", "SpoolFormat"], swiftSettings: features),
        .executableTarget(
            name: "FuzzReport", dependencies: ["FuzzSupport", "DeliveryStatus", "MailModel", "SpoolFormat"],
            swiftSettings: features + [.unsafeFlags(["-parse-as-library"])]),
        fuzz("FuzzSASL", "SASL"),
        fuzz("FuzzSASLClient", "SASL"),
        fuzz("FuzzSPF", "Policy"),
        fuzz("FuzzServerSession"),
        .target(
            name: "Submission", dependencies: ["MailModel", "DeliveryStatus", "MessageConversion"],
            swiftSettings: features),
        fuzz("FuzzSubmission", "Submission"),
        fuzz("FuzzTLSServer", "TransportSecurity"),
    ],
    swiftLanguageModes: [.v6]
)
