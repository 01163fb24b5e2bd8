// swift-tools-version: 6.2
import PackageDescription

// Load generators and loops for scripts/bench; a package of their own, so that nobody builds them who does not measure.

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "benchmarks",
    targets: [
        .executableTarget(name: "RefusalClient", swiftSettings: strict)
    ],
    swiftLanguageModes: [.v6]
)
