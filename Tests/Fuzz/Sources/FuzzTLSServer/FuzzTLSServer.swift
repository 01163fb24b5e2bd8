import FuzzSupport
import Glibc
import TransportSecurity

/// One server's end a version of the protocol, with and without a question for the client's certificate.
private let contexts: [TLSServerContext] = {
    do {
        let path = "/tmp/fuzz-tls-\(getpid()).pem"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        let octets = Array(throwAwayIdentity.utf8)
        precondition(write(descriptor, octets, octets.count) == octets.count)
        close(descriptor)
        defer { unlink(path) }
        let material = try TLSMaterial.read(TLSMaterial.Files(certificate: path, key: nil))
        return try [TLSProtocolVersion.tls11, .tls12, .tls13].flatMap { version in
            try [TLSServerSettings.ClientCertificates.none, .ask].map { mode in
                var settings = TLSServerSettings()
                settings.minimumProtocol = .tls10
                settings.maximumProtocol = version
                settings.clientCertificates = mode
                settings.isSessionCacheUsed = true
                return try TLSServerContext(material, settings)
            }
        }
    } catch {
        preconditionFailure("\(error)")
    }
}()

private let clientContext: TLSClientContext = {
    do {
        return try TLSClientContext(TLSMaterial(), TLSClientSettings())
    } catch {
        preconditionFailure("\(error)")
    }
}()

/// What a server made of its input: the error, if there was one, and whether the handshake ended well.
private struct End: Equatable {
    var failure: TLSFailure?
    var isEstablished = false
}

/// What may come out without the server's having written anything.
private let outputBound = 300_000

private func feed(_ server: TLSConnection, _ pieces: [[UInt8]], _ end: inout End) -> [UInt8] {
    var output: [UInt8] = []
    for piece in pieces where end.failure == nil {
        do throws(TLSFailure) {
            try server.receive(piece)
            if try server.handshake() == .established {
                end.isEstablished = true
                while try !server.read(limit: 1000).isEmpty {}
            }
        } catch {
            precondition(error.kind != .misuse && error.kind != .configuration, "\(error)")
            end.failure = error
            check(server, error)
        }
        output += server.takeOutput()
        precondition(output.count < outputBound, "the peer made the server send \(output.count) octets")
    }
    return output
}

/// After an error nothing works, and it is the same error.
private func check(_ server: TLSConnection, _ expected: TLSFailure) {
    for call in 0..<4 {
        do throws(TLSFailure) {
            switch call {
            case 0: _ = try server.handshake()
            case 1: try server.receive([1])
            case 2: _ = try server.read()
            default: try server.write([1])
            }
            preconditionFailure("call \(call) after \(expected) went well")
        } catch {
            precondition(error == expected, "\(error) after \(expected)")
        }
    }
    precondition(server.session == nil)
}

private func stranger(_ input: Input, _ context: TLSServerContext) throws(TLSFailure) {
    var alone = End()
    _ = feed(try TLSConnection(server: context), [input.octets], &alone)
    var split = End()
    _ = feed(try TLSConnection(server: context), input.pieces, &split)
    precondition(alone == split, "the end depends on the split: \(alone), \(split)")
}

/// A real client, some of whose octets are changed on the way: two octets of input say which by how much.
private func changed(_ input: Input, _ context: TLSServerContext) throws(TLSFailure) {
    let server = try TLSConnection(server: context)
    let client = try TLSConnection(
        client: clientContext, serverName: input.octets.count % 2 == 0 ? "a.wild.test" : nil, verification: .none)
    var end = End()
    var changes = input.octets[...]
    for round in 0..<6 where end.failure == nil {
        do throws(TLSFailure) {
            if try client.handshake() == .established { try client.write([UInt8](repeating: 0x41, count: 300)) }
        } catch {
            // The server's end is under test.
        }
        var octets = client.takeOutput()
        guard !octets.isEmpty else { break }
        if let place = changes.popFirst(), let change = changes.popFirst(), round < 5 {
            octets[Int(place) &* 7 % octets.count] ^= change
            if place == 0xff { octets.removeLast(octets.count / 2) }
        }
        let answer = feed(server, [octets], &end)
        do throws(TLSFailure) { try client.receive(answer) } catch { break }
    }
}

/// Properties: a stranger's octets make a server throw or wait, never crash; the same end however they are split; after an error
/// nothing works; the output is bounded. Encoded material is refused or reads as what it was.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzTLSServer(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    if input.variant & 0xf0 == 0xf0 {
        if let material = try? TLSMaterial(octets: input.octets) { precondition(material.encoded() == input.octets) }
        return 0
    }
    let context = contexts[Int(input.variant & 0x0f) % contexts.count]
    do throws(TLSFailure) {
        if input.variant & 0x10 == 0 { try stranger(input, context) } else { try changed(input, context) }
    } catch {
        preconditionFailure("\(error)")
    }
    return 0
}
