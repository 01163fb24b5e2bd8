import MailModel

/// The asking side of one mailq connection, version 2 (scheduler.md §5), with no I/O: logs in, gives an ETRN, takes leave.
///
///     var session = MailqClientSession(user: user, password: password, target: domain, remark: "", digest: md5)
///     for action in session.received(octets) { … }     // until .finished
///     session.ended()                                  // the connection has ended, or a time has run out
public struct MailqClientSession: Sendable, CustomStringConvertible {
    public enum Action: Hashable, Sendable {
        case send([UInt8])
        /// One of a list, without its LF; control characters are blanks.
        case line(String)
        /// Close the connection; nothing follows.
        case finished(Result<Answer, Failure>)
    }

    /// What the scheduler made of it.
    public struct Answer: Hashable, Sendable {
        /// Its words, control characters made blanks.
        public let text: String
        /// Whether it says that something was started.
        public let didStart: Bool

        public init(text: String, didStart: Bool) {
            self.text = text
            self.didStart = didStart
        }
    }

    public enum Step: String, Hashable, Sendable {
        case banner
        case challenge
        case authentication
        case etrn = "ETRN"
        case show = "SHOW"
        case list
    }

    public enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
        /// Whoever listens there is no scheduler.
        case notMailq(String)
        /// A scheduler whose mailq is of version 1: it has no PARAMauthfile.
        case oldVersion(String)
        /// Nobody may log in from our address.
        case noAccess(String)
        /// User, password or address are wrong.
        case notAuthenticated(String)
        /// The account may not.
        case refused(String)
        /// The account may not see that, or there is no such list.
        case notShown(String)
        case lineTooLong(Step)
        /// The connection ended before the answer.
        case closed(Step)
        /// The system's crypto policy forbids MD5.
        case noDigest
        /// For the host of the session: no connection.
        case unreachable(String)
        /// For the host of the session: no answer in time.
        case timedOut(Step)

        public var description: String {
            switch self {
            case .notMailq(let text): "no scheduler answers there: '\(text)'; 'version zmailer 2.0' was expected"
            case .oldVersion(let text): "the scheduler there speaks '\(text)'; it needs PARAMauthfile for version 2.0"
            case .noAccess(let text): "the scheduler there takes nobody from our address: '\(text)'"
            case .notAuthenticated(let text): "user, password or address were refused: '\(text)'"
            case .refused(let text): "ETRN was refused: '\(text)'"
            case .notShown(let text): "the list was refused: '\(text)'"
            case .lineTooLong(let step):
                "the answer (\(step.rawValue)) is longer than \(MailqClientSession.maximumLine) octets"
            case .closed(let step): "the connection ended while waiting for its answer (\(step.rawValue))"
            case .noDigest: "this system does not allow MD5, which the login needs"
            case .unreachable(let reason): "no connection: \(reason)"
            case .timedOut(let step): "no answer in time (\(step.rawValue))"
            }
        }
    }

    /// Octets of a line of the scheduler.
    public static let maximumLine = 1024
    /// Of a list: addresses and a remote host's answer.
    public static let maximumListLine = 1 << 16

    /// What is waited for; `nil` when it is over.
    public private(set) var step: Step? = .banner
    private let user: String
    private let password: [UInt8]
    private let command: String
    private let isList: Bool
    private let digest: @Sendable ([UInt8]) -> [UInt8]?
    private var input: [UInt8] = []

    /// - Parameters:
    ///   - remark: for whom: ZMailer's smtpserver says `<client address>@<own name>`.
    ///   - digest: MD5 (RFC 1321); `nil` if it cannot be had.
    public init(
        user: String, password: String, target: ETRNTarget, remark: String,
        digest: @escaping @Sendable ([UInt8]) -> [UInt8]?
    ) {
        self.user = Self.word(user)
        self.password = Array(password.utf8)
        let remark = Self.word(remark)
        command = "ETRN \(target)\(remark.isEmpty ? "" : " \(remark)")\n"
        isList = false
        self.digest = digest
    }

    /// Asks for a list: `show` are the words behind `SHOW`.
    public init(user: String, password: String, show: String, digest: @escaping @Sendable ([UInt8]) -> [UInt8]?) {
        self.user = Self.word(user)
        self.password = Array(password.utf8)
        command = "SHOW \(Octets.cleaned(show))\n"
        isList = true
        self.digest = digest
    }

    /// Without the password.
    public var description: String { "mailq as \(user): \(command.dropLast())" }

    /// A blank would make two words of it.
    private static func word(_ text: String) -> String {
        String(decoding: Octets.cleaned(text).utf8.filter { $0 != 0x20 }, as: UTF8.self)
    }

    public mutating func received(_ octets: some Collection<UInt8>) -> [Action] {
        var actions: [Action] = []
        for octet in octets {
            guard let step else { break }
            guard octet == 0x0a else {
                guard input.count < (step == .list ? Self.maximumListLine : Self.maximumLine) else {
                    actions.append(finish(.failure(.lineTooLong(step))))
                    break
                }
                input.append(octet)
                continue
            }
            if input.last == 0x0d { input.removeLast() }
            actions += take(input, step)
            input.removeAll(keepingCapacity: true)
        }
        return actions
    }

    /// The connection has ended. `nil`: it was over already.
    public mutating func ended() -> Action? { step.map { finish(.failure(.closed($0))) } }

    /// The host gives up. `nil`: it was over already.
    public mutating func gaveUp() -> Action? { step.map { finish(.failure(.timedOut($0))) } }

    private mutating func finish(_ result: Result<Answer, Failure>) -> Action {
        step = nil
        input = []
        return .finished(result)
    }

    private mutating func take(_ line: [UInt8], _ step: Step) -> [Action] {
        let text = Octets.cleaned(Octets.text(line[...]))
        switch step {
        case .banner:
            guard Octets.hasPrefix(line[...], "version zmailer 2.") else {
                let isOld = Octets.hasPrefix(line[...], "version zmailer ")
                return [finish(.failure(isOld ? .oldVersion(text) : .notMailq(text)))]
            }
            self.step = .challenge
            return []
        case .challenge:
            guard !Octets.hasPrefix(line[...], "550") else { return [finish(.failure(.noAccess(text)))] }
            guard let answer = digest(line + password) else { return [finish(.failure(.noDigest))] }
            self.step = .authentication
            return [.send(Array("AUTH \(user) \(MailqDigest.text(answer))\n".utf8))]
        case .authentication:
            guard line.first == UInt8(ascii: "+") else { return leave(.failure(.notAuthenticated(text))) }
            self.step = isList ? .show : .etrn
            return [.send(Array(command.utf8))]
        case .show:
            guard line.first == UInt8(ascii: "+") else { return leave(.failure(.notShown(text))) }
            self.step = .list
            return []
        case .list:
            if text == "." { return leave(.success(Answer(text: "", didStart: false))) }
            return [.line(text.hasPrefix(".") ? String(text.dropFirst()) : text)]
        case .etrn:
            guard line.first == UInt8(ascii: "+") else { return leave(.failure(.refused(text))) }
            // The words of the protocol; what else may stand there says nothing of a start.
            let didStart = Octets.hasPrefix(line[...], "+OK; an ETRN started")
            return leave(.success(Answer(text: text, didStart: didStart)))
        }
    }

    private mutating func leave(_ result: Result<Answer, Failure>) -> [Action] {
        [.send(Array("QUIT\n".utf8)), finish(result)]
    }
}
