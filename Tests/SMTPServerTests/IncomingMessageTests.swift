import MailModel
import Postoffice
import Testing

@testable import SMTPProtocol
@testable import SMTPServer

@Suite struct IncomingMessageTests {
    @Test("clients that announce much and send nothing do not use up the memory of the others")
    func announced() throws {
        let fixture = try WorkerFixture()
        let intake = fixture.worker.intake
        var mail = MailCommand(reversePath: .null)
        mail.size = 1 << 30
        let trace = Trace(
            clientName: "x", clientLiteral: "[192.0.2.1]", clientPort: 1, hello: nil, hostName: "mx.example",
            protocolName: "ESMTP")
        var messages: [IncomingMessage] = []
        for _ in 0..<(2 * Intake.memoryLimit / Intake.spillSize) {
            let message = IncomingMessage(
                Transaction(mail), id: intake.postoffice.newID(), trace: trace, date: "D", submission: nil,
                extras: IncomingMessage.Extras(arrived: 0), begun: 0, intake: intake)
            messages.append(try #require(message))
        }
        #expect(messages.allSatisfy { !$0.needsSpill })
    }
}
