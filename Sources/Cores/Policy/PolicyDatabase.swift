/// Key and value octets as policy.md §3 has them. A key that is not there is `nil`; a database that cannot be read throws.
public protocol PolicyDatabase {
    func value(for key: [UInt8]) throws(PolicyTrouble) -> [UInt8]?
    /// What ``PolicyKey/metadata`` holds; a database that stays open keeps it.
    func metadata() throws(PolicyTrouble) -> PolicyMetadata
}

extension PolicyDatabase {
    /// Read anew. A database without metadata, or with one of another version, is trouble: it was not finished.
    public func metadata() throws(PolicyTrouble) -> PolicyMetadata {
        guard let octets = try value(for: PolicyKey.metadata) else {
            throw PolicyTrouble(
                "the policy database has no metadata record: it is incomplete, or not written by makedb -p")
        }
        guard let metadata = PolicyMetadata(octets: octets) else {
            throw PolicyTrouble("the policy database's metadata record is of another version: run policy-builder.sh")
        }
        return metadata
    }
}

/// A policy database in memory, made from sources.
public struct PolicyMemoryDatabase: PolicyDatabase, Sendable {
    private var values: [[UInt8]: [UInt8]] = [:]
    private var kept = PolicyMetadata()

    /// All lines of all texts, equal keys appended in order; all mistakes together.
    public init(sources: [(file: String, text: String)]) throws(PolicySourceErrors) {
        var compiler = PolicyCompiler()
        for source in sources {
            compiler.take(file: source.file, Array(source.text.utf8)[...]) { Array($0) }
        }
        (values, kept) = try compiler.finish()
    }

    init(values: [[UInt8]: [UInt8]], metadata: PolicyMetadata) {
        self.values = values
        kept = metadata
    }

    public func value(for key: [UInt8]) throws(PolicyTrouble) -> [UInt8]? {
        key == PolicyKey.metadata ? kept.octets : values[key]
    }

    public func metadata() throws(PolicyTrouble) -> PolicyMetadata { kept }
}
