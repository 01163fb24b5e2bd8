import Foundation
import Glibc
import Testing

/// Debian's HAProxy, unpacked by scripts/peers: a TCP proxy in front of an instance, which tells the instance who its clients are.
final class HAProxy {
    /// The PROXY header, by the word of haproxy.cfg.
    enum Header: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case version1 = "send-proxy"
        case version2 = "send-proxy-v2"

        var testDescription: String { rawValue }
    }

    /// Where it listens, on 127.0.0.1.
    let port: UInt16
    private let process: TestProcess

    /// It listens when this returns. It connects to the instance from `source`; with `checks` it does so by itself, too.
    init(before instance: Instance, _ header: Header, from source: String, checks: Bool = false) async throws {
        port = try FreePorts.take()
        let file = "\(instance.directory)/haproxy.\(port).cfg"
        let check = checks ? " check check-send-proxy inter 300" : ""
        let configuration = """
            global
                log stdout format raw local0
            defaults
                mode tcp
                log global
                timeout connect 30s
                timeout client 60s
                timeout server 60s
                timeout check 30s
                option log-health-checks
            listen smtp
                bind 127.0.0.1:\(port)
                option smtpchk EHLO haproxy.client.test
                server mx 127.0.0.1:\(instance.port) source \(source) \(header.rawValue)\(check)

            """
        try configuration.write(toFile: file, atomically: true, encoding: .utf8)
        process = try instance.spawn(
            Programs.haproxy, ["-db", "-f", file], environment: ["LD_LIBRARY_PATH": Programs.haproxyLibraries])
        let (process, port) = (process, port)
        try await waitUntil("HAProxy listens", details: { process.output }) {
            if let status = process.poll() { throw HarnessError("HAProxy ended: \(status) \(process.output)") }
            return isListening(port)
        }
    }

    /// What it says about its sessions and checks.
    var log: String { process.output }
}
