import MailModel

extension TLSMaterial {
    /// Days before the end of a certificate's life when it is time to say so.
    public static let expiryWarningDays: Int64 = 15

    /// What an operator should mend, one line each: certificates that have ended, end soon or do not hold yet, a key that
    /// everybody may read, Diffie-Hellman parameters that are too weak. `now` in seconds since 1970.
    public func problems(now: Int64) -> [String] {
        var problems = warnings
        for identity in identities {
            do throws(TLSFailure) {
                let parsed = try identity.parsed()
                for (index, certificate) in ([parsed.certificate] + parsed.chain).enumerated() {
                    guard let problem = Self.problem(certificate, now) else { continue }
                    let place = index == 0 ? "" : "certificate \(index + 1) in it, "
                    problems.append("\(identity.certificateFile): \(place)\(certificate.subject), \(problem)")
                }
            } catch {
                problems.append(error.description)
            }
        }
        for text in dhParameters {
            guard let bits = text.dhBits, bits < Self.minimumDHBits else { continue }
            problems.append(
                "\(text.file): DH parameters of \(bits) bits are too weak and not used; "
                    + "\(Self.minimumDHBits) bits or more are valid")
        }
        return problems
    }

    private static func problem(_ certificate: Certificate, _ now: Int64) -> String? {
        guard let begin = certificate.notBefore, let end = certificate.notAfter else { return "its dates are damaged" }
        if now > end { return "expired on \(CalendarDate(unixTime: end).rfc3339)" }
        if now < begin { return "is not valid before \(CalendarDate(unixTime: begin).rfc3339)" }
        let days = (end - now) / 86_400
        guard days < expiryWarningDays else { return nil }
        return "expires in \(days == 1 ? "1 day" : "\(days) days"), on \(CalendarDate(unixTime: end).rfc3339)"
    }
}

extension TLSMaterial {
    /// What security level 2 of OpenSSL, Debian's default, takes.
    static let minimumDHBits = 2048
}
