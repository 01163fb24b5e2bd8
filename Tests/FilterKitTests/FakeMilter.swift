import Foundation
import Glibc
import MilterProtocol
import Synchronization
import Testing

/// A milter that does as it is told, on a Unix socket, one connection after the other.
final class FakeMilter: Sendable {
    let path: String
    private let listener: Int32
    private let commands = Mutex<[MilterPacket]>([])
    private let answer: @Sendable (MilterPacket) -> [UInt8]?

    /// - Parameter answer: Octets to send after a command; `nil`: the connection is closed.
    init(in folder: String, answer: @escaping @Sendable (MilterPacket) -> [UInt8]?) throws {
        path = "\(folder)/milter.sock"
        self.answer = answer
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0 && listen(listener, 16) == 0)
        Thread { [self] in run() }.start()
    }

    /// All commands so far.
    var received: [MilterPacket] { commands.withLock { $0 } }

    /// Takes no more connections.
    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    private func run() {
        while true {
            let client = accept(listener, nil, nil)
            if client < 0 { break }
            serve(client)
            close(client)
        }
        close(listener)
    }

    private func serve(_ client: Int32) {
        var decoder = MilterPacketDecoder()
        while true {
            while let packet = try? decoder.next() {
                commands.withLock { $0.append(packet) }
                if packet.command == UInt8(ascii: "Q") { return }
                if packet.command == UInt8(ascii: "D") { continue }
                guard let octets = answer(packet) else { return }
                _ = octets.withUnsafeBytes { send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            }
            var part = [UInt8](repeating: 0, count: 65536)
            let count = recv(client, &part, part.count, 0)
            guard count > 0 else { return }
            decoder.append(part[..<count])
        }
    }

    /// Agrees to all, and continues, but where `answers` has something for a command's letter.
    static func answer(
        _ packet: MilterPacket, steps: MilterSteps = [], _ answers: [Character: [MilterPacket]] = [:]
    ) -> [UInt8] {
        let letter = Character(UnicodeScalar(packet.command))
        if let answer = answers[letter] { return answer.flatMap(\.encoded) }
        if letter == "O" {
            return MilterCommand.negotiate(MilterOptions(version: 6, actions: .offered, steps: steps)).packet.encoded
        }
        return MilterPacket(UInt8(ascii: "c")).encoded
    }

    static func texts(_ code: Character, _ parts: String..., index: UInt32? = nil) -> MilterPacket {
        var data: [UInt8] = []
        if let index { data += [0, 0, 0, UInt8(truncatingIfNeeded: index)] }
        for part in parts { data += Array(part.utf8) + [0] }
        return MilterPacket(code.asciiValue ?? 0, data)
    }
}
