import Configuration
import DeliveryStatus
import Glibc
import MailModel
import ProgramKit

extension FormLibrary {
    /// Every mistake in every form, by file and line. A folder that is not there has none: there are built-in texts.
    public func mistakes() -> [ConfigurationError] { files().flatMap(mistakes(inFile:)) }

    /// The same and `FORMLANGUAGE` of zmailer.conf.
    public static func mistakes(_ environment: ZEnvironment) -> [ConfigurationError] {
        func fail(_ reason: String) -> ConfigurationError {
            ConfigurationError(file: environment["ZCONFIG"] ?? "", line: 0, key: "FORMLANGUAGE", reason: reason)
        }
        let languages = environment.formLanguages
        var errors = languages.filter { !ReportForm.isLanguage($0) }
            .map { fail("'\($0)' is no language; valid are tags like de, pt-BR with blanks between them") }
        if languages.count > maximumLanguages {
            errors.append(fail("has \(languages.count) languages; \(maximumLanguages) are the most"))
        }
        let library = FormLibrary(environment)
        let names = library.files()
        for language in library.languages
        where language != "en" && !names.contains(where: { $0.hasSuffix(".\(language)") }) {
            errors.append(fail("there is no form in '\(language)': \(library.directory)/NAME.\(language)"))
        }
        return errors + library.mistakes()
    }

    /// Names of forms, with their languages; other files are none of ours.
    private func files() -> [String] {
        guard let folder = opendir(directory) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            let parts = name.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            if Self.isName(parts[0]), parts.count == 1 || ReportForm.isLanguage(parts[1]) { names.append(name) }
        }
        return names.sorted()
    }

    private func mistakes(inFile name: String) -> [ConfigurationError] {
        let path = "\(directory)/\(name)"
        let octets: [UInt8]
        do throws(FileOctets.Failure) {
            octets = try FileOctets.read(path, limit: Self.maximumSize)
        } catch {
            let size = error.code == EFBIG ? "; a form has at most \(Self.maximumSize) octets" : ""
            return [
                ConfigurationError(
                    file: path, line: 0, key: "", reason: "\(String(cString: strerror(error.code)))\(size)")
            ]
        }
        var errors: [ConfigurationError] = []
        for (index, line) in Octets.split(octets[...], at: 0x0a).enumerated()
        where String(validating: line, as: UTF8.self) == nil {
            errors.append(
                ConfigurationError(
                    file: path, line: index + 1, key: "", reason: "is not UTF-8, which every form is"))
        }
        for mistake in ReportForm.read(Octets.text(octets[...])).mistakes {
            errors.append(ConfigurationError(file: path, line: mistake.line, key: "", reason: mistake.reason))
        }
        return errors
    }
}
