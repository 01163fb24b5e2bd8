import Testing

@testable import TransportSecurity

/// A client and a server that exchange octets in memory.
struct Pair {
    let server: TLSConnection
    let client: TLSConnection
    /// Octets that go over at a time.
    var step = Int.max

    init(_ server: TLSConnection, _ client: TLSConnection, step: Int = .max) {
        self.server = server
        self.client = client
        self.step = step
    }

    init(
        _ material: TLSMaterial, _ settings: TLSServerSettings = TLSServerSettings(),
        client clientMaterial: TLSMaterial = TLSMaterial(), _ clientSettings: TLSClientSettings = TLSClientSettings(),
        name: String? = "mx.example.test", verification: TLSVerification = .none, step: Int = .max
    ) throws {
        server = try TLSConnection(server: try TLSServerContext(material, settings))
        client = try TLSConnection(
            client: try TLSClientContext(clientMaterial, clientSettings), serverName: name, verification: verification)
        self.step = step
    }

    /// Both ends' results, their errors included, when neither has anything more to say.
    struct Outcome {
        var server: Result<TLSConnection.Progress, TLSFailure>
        var client: Result<TLSConnection.Progress, TLSFailure>
        /// What the server still had to send when it was done.
        var isEstablished: Bool {
            guard case .success(.established) = server, case .success(.established) = client else { return false }
            return true
        }
    }

    @discardableResult
    func handshake() -> Outcome {
        var outcome = Outcome(server: .success(.needInput), client: progress(client))
        for _ in 0..<100 {
            let toServer = client.takeOutput()
            if !toServer.isEmpty { outcome.server = feed(server, toServer) ?? outcome.server }
            let toClient = server.takeOutput()
            if !toClient.isEmpty { outcome.client = feed(client, toClient) ?? outcome.client }
            if toServer.isEmpty, toClient.isEmpty { break }
        }
        return outcome
    }

    /// `nil`: it is established already, the octets are for later.
    private func feed(_ end: TLSConnection, _ octets: [UInt8]) -> Result<TLSConnection.Progress, TLSFailure>? {
        var last: Result<TLSConnection.Progress, TLSFailure>?
        var rest = octets[...]
        while !rest.isEmpty {
            let piece = Array(rest.prefix(step))
            rest = rest.dropFirst(piece.count)
            do throws(TLSFailure) {
                try end.receive(piece)
            } catch {
                return last ?? .failure(error)
            }
            last = progress(end)
            if case .failure = last { return last }
        }
        return last
    }

    private func progress(_ end: TLSConnection) -> Result<TLSConnection.Progress, TLSFailure> {
        do throws(TLSFailure) {
            return .success(try end.handshake())
        } catch {
            return .failure(error)
        }
    }

    /// Lets the client take what came after the handshake: tickets.
    func settle() throws {
        try client.receive(server.takeOutput())
        _ = try client.readAll()
    }

    /// What `receiver` reads when `sender` writes `text`.
    func send(_ text: [UInt8], from sender: TLSConnection, to receiver: TLSConnection) throws -> [UInt8] {
        try sender.write(text)
        var rest = sender.takeOutput()[...]
        var got: [UInt8] = []
        while !rest.isEmpty {
            let piece = Array(rest.prefix(min(step, 500_000)))
            rest = rest.dropFirst(piece.count)
            try receiver.receive(piece)
            got += try receiver.readAll()
        }
        return got
    }
}

extension TLSConnection {
    func readAll(limit: Int = 4096) throws(TLSFailure) -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let octets = try read(limit: limit)
            if octets.isEmpty { return all }
            all += octets
        }
    }
}
