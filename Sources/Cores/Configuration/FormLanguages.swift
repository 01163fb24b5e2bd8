extension ZEnvironment {
    /// `FORMLANGUAGE`: the languages of reports, first choice first; language tags with blanks or commas between them, as they stand
    /// there (default: none, which is English).
    public var formLanguages: [String] {
        (self["FORMLANGUAGE"] ?? "").split { $0 == " " || $0 == "," || $0 == "\t" }.map(String.init)
    }
}
