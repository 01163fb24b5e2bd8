import Configuration
import DeliveryStatus
import Glibc
import ProgramKit

/// The forms of an instance, `$MAILSHARE/forms/<name>`, each perhaps in several languages (docs/man/forms.5). They are read for every
/// report: what an operator changes holds from the next one on.
public struct FormLibrary: Sendable {
    public let directory: String
    /// The operator's languages, first choice first: `name.de` is taken before `name`.
    public let languages: [String]

    /// Octets of a form.
    public static let maximumSize = 65536
    /// Of ``languages``.
    public static let maximumLanguages = 8

    public init(directory: String, languages: [String] = []) {
        self.directory = directory
        self.languages = Array(languages.filter(ReportForm.isLanguage).prefix(Self.maximumLanguages))
    }

    /// `$MAILSHARE/forms`, and `FORMLANGUAGE`: language tags with blanks between them.
    public init(_ environment: ZEnvironment) {
        self.init(directory: "\(environment.mailshare)/forms", languages: environment.formLanguages)
    }

    public enum Finding: Hashable, Sendable {
        case found(ReportForm)
        /// With the reason.
        case missing(String)
    }

    /// The file of that name, in the first language that there is one for, else without a language.
    public func form(_ name: String) -> Finding {
        // A name is one file of the directory: nothing that leads out of it.
        guard Self.isName(name) else { return .missing("'\(name)' is no name of a form") }
        for language in languages {
            let (contents, _) = read("\(name).\(language)")
            guard let contents else {
                // English is the language of those without one.
                if language == "en" { break }
                continue
            }
            return .found(ReportForm.read(contents, base: labels("labels.\(language)")).form)
        }
        let (contents, reason) = read(name)
        guard let contents else { return .missing(reason) }
        return .found(ReportForm.read(contents, base: labels("labels")).form)
    }

    /// The form that is chosen for it, else that of the kind, else the built-in text.
    public func form(_ kind: ReportKind, chosen: String? = nil) -> ReportForm {
        for name in [chosen, kind.rawValue].compactMap({ $0 }) {
            if case .found(let form) = form(name) { return form }
        }
        return .standard(kind)
    }

    private func labels(_ name: String) -> ReportForm? {
        read(name).contents.map { ReportForm(parsing: $0) }
    }

    private func read(_ name: String) -> (contents: String?, reason: String) {
        do throws(FileOctets.Failure) {
            let octets = try FileOctets.read("\(directory)/\(name)", limit: Self.maximumSize)
            return (String(decoding: octets, as: UTF8.self), "")
        } catch {
            return (nil, error.description)
        }
    }

    public static func isName(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count)
            && name.utf8.allSatisfy { octet in
                (0x30...0x39).contains(octet) || (0x61...0x7a).contains(octet | 0x20) || octet == UInt8(ascii: "-")
                    || octet == UInt8(ascii: "_")
            }
    }
}
