import MailModel

/// Collects entries in memory.
struct PolicyCompiler {
    private var reader = PolicySourceReader(file: "")
    private var values: [[UInt8]: [UInt8]] = [:]
    private var errors: [PolicySourceError] = []
    private let built: Int64

    /// Errors that are kept.
    static let errorLimit = 100

    init(built: Int64 = 0) { self.built = built }

    /// All lines of a file, each changed by `merge` first.
    mutating func take(
        file: String, _ octets: ArraySlice<UInt8>, _ merge: (ArraySlice<UInt8>) -> [UInt8]
    ) {
        reader.begin(file: file)
        // Some editors begin a file with a byte order mark; a part of the first key it would be otherwise.
        var start = octets.startIndex + (octets.starts(with: [0xef, 0xbb, 0xbf]) ? 3 : 0)
        while start < octets.endIndex {
            let end = Octets.index(of: 0x0a, in: octets[start...]) ?? octets.endIndex
            switch reader.read(line: merge(octets[start..<end])[...]) {
            case .entry(let key, let record): values[key.octets, default: []].append(contentsOf: record.octets)
            case .nothing: break
            case .error(let error): if errors.count < Self.errorLimit { errors.append(error) }
            }
            start = end + 1
        }
    }

    mutating func finish() throws(PolicySourceErrors) -> ([[UInt8]: [UInt8]], PolicyMetadata) {
        let all = errors + reader.undefinedTags()
        guard all.isEmpty else { throw PolicySourceErrors(all) }
        var metadata = reader.metadata()
        metadata.entries = values.count
        metadata.built = built
        return (values, metadata)
    }
}
