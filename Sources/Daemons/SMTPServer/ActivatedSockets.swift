import ChildProcesses
import Configuration
import Glibc
import ProgramKit

/// Sockets that a service manager has made and listens on (sd_listen_fds(3)): no port has to be bound by us.
enum ActivatedSockets {
    private static let first: Int32 = 3

    /// None, unless the environment says that there are some for this process. Names (`FileDescriptorName=`) say what they are:
    /// `smtp`, `smtps`, `submission`; others are by their port, 465 and 587 as usual.
    static func take(_ settings: Settings) throws(ListenError) -> [(point: ListenPoint, socket: ListeningSocket)] {
        guard let pid = variable("LISTEN_PID").flatMap({ Int32($0) }), pid == getpid(),
            let count = variable("LISTEN_FDS").flatMap({ Int32($0) }), count > 0
        else { return [] }
        guard count <= ListenPlan.maximumSockets else {
            throw ListenError("\(count) sockets from the service manager; at most \(ListenPlan.maximumSockets)", .usage)
        }
        let planned = try ListenPlan.points(settings)
        let names = (variable("LISTEN_FDNAMES") ?? "").split(separator: ":", omittingEmptySubsequences: false)
        var result: [(point: ListenPoint, socket: ListeningSocket)] = []
        for index in 0..<count {
            let descriptor = first + index
            guard let address = ListeningSocket.address(of: descriptor) else {
                throw ListenError("socket \(descriptor) of the service manager is no listening TCP socket", .usage)
            }
            let name = Int(index) < names.count ? String(names[Int(index)]) : ""
            // An address that the configuration names too is that listener, with its group.
            let role =
                planned.first { $0.place == .network(address) }?.role
                ?? ListenerRole(service: service(name, port: address.port), port: address.port)
            result.append((ListenPoint(place: .network(address), role: role), ListeningSocket(inherited: descriptor)))
        }
        return result
    }

    private static func service(_ name: String, port: Int) -> SMTPServerConfiguration.Listener.Service {
        // Nobody at a network socket is a user of this host.
        if let named = SMTPServerConfiguration.Listener.Service(rawValue: name), named != .local { return named }
        switch port {
        case 465: return .smtps
        case 587: return .submission
        default: return .smtp
        }
    }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
