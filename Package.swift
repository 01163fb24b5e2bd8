// swift-tools-version: 6.2
import PackageDescription

// The tree is the architecture drawing: imports point down only,
// Programs -> Daemons/Agents -> Services -> Cores -> Values, and System is imported by Services alone
// (scripts/check-imports fails on an upward edge).

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

func library(_ layer: String, _ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, path: "Sources/\(layer)/\(name)", swiftSettings: strict)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: "Sources/Programs/\(name)", swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
]
let collections: [Target.Dependency] = [
    .product(name: "DequeModule", package: "swift-collections"),
    .product(name: "HeapModule", package: "swift-collections"),
]
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "zmailer",
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
    ],
    targets: [
        // System: module maps and a few shims
        .systemLibrary(
            name: "COpenSSL", path: "Sources/System/COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CGDBM", path: "Sources/System/CGDBM", providers: [.apt(["libgdbm-dev"])]),
        .systemLibrary(name: "CCrypt", path: "Sources/System/CCrypt", providers: [.apt(["libcrypt-dev"])]),
        .systemLibrary(name: "CPAM", path: "Sources/System/CPAM", providers: [.apt(["libpam0g-dev"])]),
        .systemLibrary(name: "CUnbound", path: "Sources/System/CUnbound", providers: [.apt(["libunbound-dev"])]),
        .target(name: "CWrap", path: "Sources/System/CWrap", linkerSettings: [.linkedLibrary("wrap")]),
        .target(name: "CPosix", path: "Sources/System/CPosix"),

        // Values
        library("Values", "MailModel"),

        // Cores: no I/O, no clock, no randomness
        library("Cores", "SMTPProtocol", ["MailModel"]),
        library("Cores", "SASL", ["MailModel"]),
        library("Cores", "MessageConversion", ["MailModel"]),
        library("Cores", "SpoolFormat", ["MailModel"]),
        library("Cores", "AgentProtocol", ["MailModel", "SpoolFormat"]),
        library("Cores", "Policy", ["MailModel"]),
        library("Cores", "ContentFiltering", ["MailModel", "SpoolFormat"]),
        library("Cores", "Routing", ["MailModel", "SpoolFormat"]),
        library("Cores", "Scheduling", ["MailModel", "SpoolFormat", "AgentProtocol", "Configuration"] + collections),
        library("Cores", "DeliveryStatus", ["MailModel", "SpoolFormat"]),
        library("Cores", "Configuration", ["MailModel"]),
        library("Cores", "PeerIdentity", ["MailModel"]),
        library("Cores", "MilterProtocol", ["MailModel"]),
        library("Cores", "Submission", ["MailModel", "DeliveryStatus", "MessageConversion"]),

        // Services
        library("Services", "Telemetry", ["CPosix"]),
        library("Services", "Digests", ["COpenSSL"]),
        library("Services", "ChildProcesses", ["CPosix"]),
        library("Services", "MetricsCollection", ["Telemetry", "ChildProcesses", "Configuration", "MailModel"]),
        library("Services", "HostAccess", ["CWrap"]),
        library("Services", "ProgramKit", ["CPosix", "Configuration", "Telemetry"]),
        library("Services", "Postoffice", ["CPosix", "SpoolFormat", "AgentProtocol", "ContentFiltering", "MailModel"]),
        library("Services", "Forms", ["DeliveryStatus", "Configuration", "ProgramKit", "MailModel", "SpoolFormat"]),
        library(
            "Services", "Freezer",
            [
                "MailModel", "SpoolFormat", "DeliveryStatus", "Configuration", "Telemetry", "ProgramKit", "Postoffice",
                "Forms", "CPosix",
            ]),
        library(
            "Services", "SpoolCheck",
            [
                "MailModel", "SpoolFormat", "Configuration", "Telemetry", "ChildProcesses", "ProgramKit", "Postoffice",
                "CPosix",
            ]),
        library("Services", "Tables", ["CGDBM", "CPosix", "MailModel", "Policy", "SASL"]),
        library(
            "Services", "Credentials",
            [
                "CCrypt", "COpenSSL", "CPAM", "CPosix", "MailModel", "SASL", "Tables", "ChildProcesses", "ProgramKit",
                "Telemetry",
            ]),
        library("Services", "Resolver", ["CUnbound", "MailModel"]),
        library("Services", "TransportSecurity", ["COpenSSL", "MailModel"]),
        library(
            "Services", "PolicyEngine",
            [
                "CGDBM", "CPosix", "MailModel", "SpoolFormat", "Policy", "Routing", "Configuration", "Telemetry",
                "ChildProcesses", "ProgramKit", "Tables", "Resolver",
            ] + collections),

        library("Services", "PolicyAsking", ["MailModel", "SMTPProtocol", "Policy", "Configuration", "ProgramKit"]),

        library("Services", "LocalSubmission", ["CPosix", "ChildProcesses", "MailModel", "SMTPProtocol"]),

        // Daemons
        library(
            "Daemons", "SMTPServer",
            [
                "MailModel", "SMTPProtocol", "SpoolFormat", "AgentProtocol", "SASL", "PeerIdentity", "Policy",
                "PolicyAsking", "PolicyEngine", "Resolver", "Configuration", "Telemetry", "ChildProcesses",
                "ProgramKit", "Postoffice", "TransportSecurity", "Credentials", "HostAccess", "Digests",
                "ContentFiltering",
            ] + nio + collections),
        library(
            "Daemons", "Router",
            [
                "MailModel", "SpoolFormat", "AgentProtocol", "Policy", "Routing", "Configuration", "Telemetry",
                "ChildProcesses", "ProgramKit", "Postoffice", "Freezer", "SpoolCheck", "MetricsCollection",
                "Tables", "PolicyEngine",
            ] + collections),
        library(
            "Daemons", "Scheduler",
            [
                "MailModel", "SpoolFormat", "AgentProtocol", "Scheduling", "DeliveryStatus", "Configuration",
                "Telemetry", "ChildProcesses", "ProgramKit", "Postoffice", "Digests", "SpoolCheck", "Forms",
            ] + collections),
        library(
            "Daemons", "DatabaseTools",
            [
                "MailModel", "SASL", "Policy", "Routing", "Configuration", "ChildProcesses", "ProgramKit", "Tables",
            ]),
        library(
            "Daemons", "Supervisor",
            [
                "MailModel", "SMTPProtocol", "SpoolFormat", "AgentProtocol", "Policy", "PolicyAsking", "PolicyEngine",
                "Resolver", "Configuration", "Telemetry", "ChildProcesses", "ProgramKit", "Postoffice", "Freezer",
                "Digests", "SpoolCheck", "MetricsCollection",
            ]),

        // Not daemons: what the users of this host start
        library(
            "Daemons", "UserPrograms",
            [
                "MailModel", "SMTPProtocol", "Submission", "Routing", "Configuration", "ChildProcesses", "ProgramKit",
                "PolicyAsking", "Tables", "LocalSubmission",
            ]),

        // Agents
        library(
            "Agents", "AgentKit",
            [
                "MailModel", "SpoolFormat", "AgentProtocol", "Configuration", "Telemetry", "ProgramKit", "Postoffice",
                "ChildProcesses",
            ]),
        library(
            "Agents", "SMTPAgent",
            [
                "AgentKit", "MailModel", "SMTPProtocol", "SpoolFormat", "AgentProtocol", "Resolver", "Telemetry",
                "ProgramKit", "Configuration", "TransportSecurity", "MessageConversion", "SASL", "Digests",
            ] + collections),
        library(
            "Agents", "MailboxAgent",
            [
                "AgentKit", "MailModel", "SpoolFormat", "AgentProtocol", "ChildProcesses", "Telemetry", "ProgramKit",
                "Configuration", "Postoffice", "Routing", "MessageConversion",
            ]),
        library(
            "Agents", "ErrorMailAgent",
            [
                "AgentKit", "MailModel", "SpoolFormat", "AgentProtocol", "DeliveryStatus", "Postoffice", "Telemetry",
                "ProgramKit", "Configuration", "Forms",
            ]),
        library(
            "Agents", "StreamAgent",
            [
                "AgentKit", "MailModel", "SpoolFormat", "AgentProtocol", "ChildProcesses", "ProgramKit",
                "Configuration", "MessageConversion",
            ]),
        library(
            "Agents", "HoldAgent",
            [
                "AgentKit", "MailModel", "SpoolFormat", "AgentProtocol", "ChildProcesses", "Telemetry", "ProgramKit",
                "Configuration", "Postoffice", "Resolver",
            ]),
        library(
            "Agents", "ExpirerAgent",
            ["AgentKit", "MailModel", "SpoolFormat", "AgentProtocol", "ProgramKit", "Configuration"]),
        library(
            "Agents", "RerouteAgent",
            ["AgentKit", "SpoolFormat", "AgentProtocol", "Telemetry", "ProgramKit", "Configuration"]),
        // Content filters: what any of them needs, and the one that asks a milter
        library("Agents", "FilterKit", ["MailModel", "SpoolFormat"]),
        library(
            "Agents", "MilterAgent",
            ["FilterKit", "MilterProtocol", "MailModel", "SpoolFormat", "Configuration", "ProgramKit"]),

        // Programs: a main each, nothing else
        program("smtpserver", ["SMTPServer"]),
        program("router", ["Router"]),
        program("scheduler", ["Scheduler"]),
        program("ta-smtp", ["SMTPAgent"]),
        program("ta-mailbox", ["MailboxAgent"]),
        program("ta-errormail", ["ErrorMailAgent"]),
        program("ta-sm", ["StreamAgent"]),
        program("ta-hold", ["HoldAgent"]),
        program("ta-expirer", ["ExpirerAgent"]),
        program("ta-reroute", ["RerouteAgent"]),
        program("filter-milter", ["MilterAgent"]),
        // What docs/contentfilters.md shows: built and run by the tests, not installed
        .executableTarget(
            name: "filter-example", dependencies: ["FilterKit", "MailModel", "SpoolFormat"],
            path: "scripts/contentfilters/example",
            swiftSettings: strict),
        program("makedb", ["DatabaseTools"]),
        program("dblook", ["DatabaseTools"]),
        program(
            "zmailer",
            [
                "DatabaseTools", "Supervisor", "Credentials", "SASL", "AgentProtocol", "MailModel", "Configuration",
                "SpoolFormat", "ProgramKit", argumentParser,
            ]),
        program("sendmail", ["UserPrograms"]),
        program("vacation", ["UserPrograms"]),
        program("mailq", ["Supervisor", "Configuration", "ProgramKit", argumentParser]),

        // Tests
        tests("MailModelTests", ["MailModel"]),
        tests("SMTPProtocolTests", ["SMTPProtocol", "MailModel"]),
        tests("SASLTests", ["SASL", "MailModel"]),
        tests("MessageConversionTests", ["MessageConversion", "MailModel"], exclude: ["compare.py"]),
        tests("SubmissionTests", ["Submission", "MailModel"]),
        tests(
            "UserProgramsTests",
            [
                "UserPrograms", "LocalSubmission", "Submission", "Configuration", "ChildProcesses", "ProgramKit",
                "MailModel", "SMTPProtocol", "CPosix",
            ]),
        tests("PeerIdentityTests", ["PeerIdentity", "MailModel"]),
        tests("HostAccessTests", ["HostAccess"]),
        tests("ContentFilteringTests", ["ContentFiltering", "SpoolFormat", "MailModel"]),
        tests("SpoolFormatTests", ["SpoolFormat", "MailModel"]),
        tests("AgentProtocolTests", ["AgentProtocol", "SpoolFormat", "MailModel"]),
        // The rows of the policy's decision table, which three targets run.
        .target(name: "PolicyRows", path: "Tests/Policy/Rows", swiftSettings: strict),
        tests("PolicyTests", ["Policy", "MailModel", "PolicyRows"]),
        tests(
            "RoutingTests",
            [
                "Routing", "Router", "Tables", "MailModel", "SpoolFormat", "Postoffice", "Policy", "Configuration",
                "Telemetry", "ChildProcesses", "ProgramKit", "AgentProtocol", "PolicyEngine", "CPosix",
            ]),
        tests(
            "PolicyEngineTests",
            [
                "PolicyEngine", "Policy", "MailModel", "Configuration", "Telemetry", "ChildProcesses", "Tables",
                "Resolver", "Routing", "CPosix",
            ]),
        tests("DeliveryStatusTests", ["DeliveryStatus", "MailModel", "SpoolFormat"], exclude: ["Golden"]),
        tests("SchedulingTests", ["Scheduling", "SpoolFormat", "AgentProtocol", "MailModel", "Configuration"]),
        tests("FormsTests", ["Forms", "DeliveryStatus", "Configuration", "MailModel"]),
        tests("ConfigurationTests", ["Configuration", "MailModel"]),
        tests(
            "ServicesTests",
            [
                "Postoffice", "Freezer", "Configuration", "Telemetry", "ChildProcesses", "ProgramKit", "Resolver",
                "Tables", "SpoolFormat", "AgentProtocol", "MailModel", "CPosix", "Digests",
            ]),
        tests(
            "CredentialsTests",
            [
                "Credentials", "SASL", "MailModel", "Tables", "ChildProcesses", "ProgramKit", "Telemetry", "CPosix",
            ]),
        tests(
            "SMTPServerTests",
            [
                "SMTPServer", "SMTPProtocol", "Policy", "PolicyAsking", "MailModel", "SpoolFormat", "Configuration",
                "Postoffice", "ProgramKit", "Telemetry", "TransportSecurity", "SASL", "ChildProcesses",
            ] + nio),
        tests("PolicyAskingTests", ["PolicyAsking", "SMTPProtocol", "Policy", "Configuration", "MailModel"]),
        tests(
            "SchedulerTests",
            [
                "Scheduler", "Scheduling", "SpoolFormat", "Postoffice", "Configuration", "AgentProtocol",
                "ChildProcesses", "MailModel", "ProgramKit", "Telemetry", "SpoolCheck",
            ]),
        tests(
            "SupervisorTests",
            [
                "Supervisor", "Policy", "PolicyAsking", "MailModel", "SpoolFormat", "Configuration", "Telemetry",
                "ProgramKit", "Postoffice", "Freezer",
            ]),
        tests(
            "DatabaseToolsTests",
            ["DatabaseTools", "Tables", "Policy", "SASL", "MailModel", "ProgramKit", "ChildProcesses"]),
        tests(
            "AgentTests",
            [
                "AgentKit", "SMTPAgent", "MailboxAgent", "ErrorMailAgent", "StreamAgent", "HoldAgent", "ExpirerAgent",
                "RerouteAgent", "Routing", "SpoolFormat", "AgentProtocol", "MailModel",
                "SMTPProtocol", "Resolver", "ProgramKit", "Configuration", "DeliveryStatus", "Postoffice",
                "ChildProcesses", "Telemetry", "TransportSecurity", "SASL", "MessageConversion", "Digests", "Forms",
            ]),
        tests(
            "SpoolCheckTests",
            [
                "SpoolCheck", "Postoffice", "SpoolFormat", "AgentProtocol", "ChildProcesses", "ProgramKit",
                "Configuration", "Telemetry", "CPosix",
            ]),
        tests(
            "MetricsTests",
            ["Telemetry", "MetricsCollection", "ChildProcesses", "Configuration", "MailModel", "CPosix"]),
        tests("MilterProtocolTests", ["MilterProtocol", "MailModel"]),
        tests(
            "FilterKitTests",
            [
                "FilterKit", "MilterAgent", "MilterProtocol", "MailModel", "SpoolFormat", "Configuration",
                "filter-example", "filter-milter",
            ]),
        tests("TransportSecurityTests", ["TransportSecurity", "COpenSSL", "MailModel"]),
        tests("SystemLibrariesTests", ["COpenSSL", "CGDBM", "CPAM", "CUnbound"]),
        tests("EndToEndTests", ["CPosix", "COpenSSL", "PolicyRows"], exclude: ["Conformance"]),
    ],
    swiftLanguageModes: [.v6]
)
