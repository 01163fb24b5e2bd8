import FilterKit
import MailModel
import MilterProtocol
import SpoolFormat

extension MilterMessage {
    /// What the milter is told about the message. The topmost `Received` of `header`, which is our own, is left out: other mail
    /// systems add theirs behind the milter.
    init(_ job: FilterJob, header: HeaderSection, settings: MilterSettings, hostName: String) throws(MilterFailure) {
        let envelope = job.envelope
        guard !envelope.recipients.isEmpty else { throw .noRecipients }
        let client = try Self.client(envelope)
        self.init(
            clientName: client.name, client: client.endpoint, queueID: job.id, sender: envelope.sender,
            recipients: envelope.recipients.map(\.address))
        hello = client.hello
        if let bodyType = envelope.bodyType { senderParameters.append("BODY=\(bodyType)") }
        if envelope.isInternationalized { senderParameters.append("SMTPUTF8") }
        var isOwn = true
        for field in header.fields {
            if isOwn, MilterVerdict.isReceived(field.name) {
                isOwn = false
            } else {
                fields.append(MilterField(field, of: header))
            }
        }
        let literal = AddressLiteral.ip(client.endpoint.address).description
        connectionMacros = [
            MilterMacro("j", settings.hostName ?? hostName), MilterMacro("{daemon_name}", settings.daemonName),
            MilterMacro("{client_addr}", client.endpoint.address.description),
            MilterMacro("{client_name}", client.name),
            MilterMacro("{client_port}", client.endpoint.port > 0 ? String(client.endpoint.port) : ""),
            MilterMacro("{client_resolve}", client.isConfirmed ? "OK" : "FAIL"),
            MilterMacro("_", client.isConfirmed ? "\(client.name) \(literal)" : literal),
        ]
        if let user = envelope.authenticatedUser {
            // The envelope does not tell the mechanism; milters look whether there is one.
            mailMacros = [MilterMacro("{auth_type}", "AUTH"), MilterMacro("{auth_authen}", user)]
        }
    }

    private struct Client {
        var name: String
        var endpoint: MilterEndpoint
        var hello: String?
        var isConfirmed: Bool
    }

    /// Milters trust what is local, so that nothing is called local by mistake.
    private static func client(_ envelope: MessageEnvelope) throws(MilterFailure) -> Client {
        if let text = envelope.receivedFrom {
            guard let trace = ReceivedFrom(text) else { throw .client(text) }
            if let address = trace.address?.unmapped {
                let isConfirmed = AddressLiteral.address(in: trace.name) == nil
                return Client(
                    name: trace.name, endpoint: MilterEndpoint(address, port: trace.port), hello: trace.hello,
                    isConfirmed: isConfirmed)
            }
        } else if envelope.isExternal {
            throw .client(nil)
        }
        let local = MilterEndpoint(.v4(0x7f00_0001), port: 0)
        return Client(name: "localhost", endpoint: local, isConfirmed: true)
    }
}
