import Foundation
import PolicyRows
import Testing

/// Instances that run the sample policy of `Tests/Policy`, or another.
extension Instance.Settings {
    /// The folder's sources, tables and DNS data.
    mutating func usePolicySample(_ parameters: [String: String] = [:]) throws {
        domain = "example.test"
        zones = try PolicyFolder.read("zones").split(separator: "\n").map(String.init)
        zenv["SELFADDRESSES"] = "[192.0.2.25],[IPv6:2001:db8::25]"
        smtpserverParameters += ["MaxSameIpSource 100"] + parameters.sorted { $0.key < $1.key }.map(Self.line)
        var files = try PolicyFolder.sources.map { (name: $0, text: try PolicyFolder.read($0)) }
        for name in ["users", "aliases"] { files.append((name, try PolicyFolder.read(name))) }
        prepare = { instance in
            for file in files { try instance.write(file.text, to: "var/db/\(file.name)") }
        }
    }

    private static func line(_ parameter: (key: String, value: String)) -> String {
        parameter.value.isEmpty ? parameter.key : "\(parameter.key) \(parameter.value)"
    }

    /// These files of `var/db` instead of what `zmailer init` wrote.
    mutating func usePolicyFiles(_ files: [String: String]) {
        prepare = { instance in
            for (name, text) in files { try instance.write(text, to: "var/db/\(name)") }
        }
    }

    /// Nobody relays but who these lines of source let.
    mutating func usePolicy(_ lines: [String]) {
        var files = RelayPolicies.pairs[0].files
        files["smtp-policy.src", default: ""] += lines.map { $0 + "\n" }.joined()
        usePolicyFiles(files)
    }

    /// Clients from everywhere.
    mutating func useNetwork() throws {
        network = try TestNetwork()
        zenv["SMTPADDRESS"] = "any"
    }
}

extension Instance {
    func connect(from source: String) throws -> Connection {
        guard let network = settings.network else { throw HarnessError("the instance has no network of its own") }
        return try Connection(port: port, from: source, in: network)
    }

    /// The policy service, which the router's master starts again when it dies.
    var policyService: pid_t? {
        ProcessTable.processes(naming: directory).first {
            $0.command.contains("/router ") && $0.command.split(separator: " ").contains("--policy")
        }?.pid
    }

    /// What the daemons say, who are in the foreground.
    var log: String { read("zmailer.out") }

    /// `key=value` or `key="value"` of a log line.
    static func value(_ key: String, in line: Substring) -> String? {
        guard let start = line.range(of: " \(key)=") else { return nil }
        let rest = line[start.upperBound...]
        guard rest.first == "\"" else { return String(rest.prefix { $0 != " " }) }
        var value = ""
        var isEscaped = false
        for character in rest.dropFirst() {
            if isEscaped {
                value.append(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == "\"" {
                break
            } else {
                value.append(character)
            }
        }
        return value
    }
}
