// swift-tools-version: 6.2
import PackageDescription

// Load generators and loops for scripts/bench; a package of their own, so that nobody builds them who does not measure.
// The modules that are measured are linked in as sources, so that nothing else of the main package is built.

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "benchmarks",
    // As in the main package.
    dependencies: [.package(url: "https://github.com/apple/swift-collections", exact: "1.6.0")],
    targets: [
        .executableTarget(name: "RefusalClient", swiftSettings: strict),
        .executableTarget(name: "TrivialFilter", swiftSettings: strict),
        .systemLibrary(name: "CGDBM"),
        .target(name: "CPosix"),
        .target(name: "MailModel", swiftSettings: strict),
        .target(name: "Policy", dependencies: ["MailModel"], swiftSettings: strict),
        .target(name: "Tables", dependencies: ["CGDBM", "CPosix", "MailModel", "Policy"], swiftSettings: strict),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl"),
        .target(name: "TransportSecurity", dependencies: ["COpenSSL", "MailModel"], swiftSettings: strict),
        .executableTarget(name: "TLSClient", dependencies: ["TransportSecurity"], swiftSettings: strict),
        .target(name: "SpoolFormat", dependencies: ["MailModel"], swiftSettings: strict),
        .target(name: "Configuration", dependencies: ["MailModel"], swiftSettings: strict),
        .target(name: "AgentProtocol", dependencies: ["MailModel", "SpoolFormat"], swiftSettings: strict),
        .target(
            name: "Scheduling",
            dependencies: [
                "MailModel", "SpoolFormat", "AgentProtocol", "Configuration",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            // The simulation looks inside, as the tests do.
            swiftSettings: strict + [.unsafeFlags(["-enable-testing"])]),
        .executableTarget(
            name: "SchedulerSimulation",
            dependencies: ["Scheduling", "SpoolFormat", "AgentProtocol", "MailModel", "Configuration"],
            swiftSettings: strict),
        .executableTarget(name: "PolicyLoad", dependencies: ["MailModel", "Policy", "Tables"], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
