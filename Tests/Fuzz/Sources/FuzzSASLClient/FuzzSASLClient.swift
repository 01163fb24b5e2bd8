import FuzzSupport
import MailModel
import SASL

/// Messages of a server, between octets 0xff, in each exchange of a client.
///
/// Properties: with SCRAM nobody is believed who has not shown the signature that was calculated; what is sent is of bounded size;
/// nothing but failure follows on a failure.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSASLClient(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count), let user = UserName("al,i=ce") else { return 0 }
    let mechanism = SASLMechanism.allCases[Int(input.variant & 3)]
    var exchange = SASLClientExchange(
        mechanism, as: SASLClientExchange.Credentials(user: user, password: Secret(Array("secret".utf8))),
        nonce: ServerNonce(random: [1, 2, 3]),
        binding: input.variant & 4 == 0 ? nil : SASLClientExchange.Binding(name: "tls-exporter", data: [1, 2, 3]),
        isPlusOffered: input.variant & 8 != 0)
    let signature = [UInt8](repeating: 7, count: 32)
    if input.variant & 16 != 0, exchange.initialResponse != nil { exchange.initialResponseSent() }
    var hasFailed = false
    var hasSignature = false
    for message in input.octets.split(separator: 0xff, maxSplits: 5, omittingEmptySubsequences: false) {
        // The right signature, now and then: something must be able to succeed.
        let message = message.elementsEqual([0x21]) ? Array("v=\(Base64.encode(signature))".utf8) : Array(message)
        if message.elementsEqual("v=\(Base64.encode(signature))".utf8)
            || message.starts(with: "v=\(Base64.encode(signature)),".utf8)
        {
            hasSignature = true
        }
        var action = exchange.received(message)
        if case .derive(let derivation) = action {
            precondition(derivation.authMessage.count <= 2 * message.count + 1000)
            action = exchange.derived(
                SCRAMDerivation.Keys(clientProof: [UInt8](repeating: 1, count: 32), serverSignature: signature))
        }
        switch action {
        case .respond(let octets):
            precondition(!hasFailed && octets.count <= 2000)
        case .failed: hasFailed = true
        case .derive: preconditionFailure("derived twice")
        }
        if exchange.isComplete, !mechanism.sendsPasswordInClear {
            precondition(hasSignature, "nobody has proved anything")
        }
        if hasFailed { precondition(!exchange.isComplete) }
    }
    return 0
}
