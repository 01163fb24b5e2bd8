/// A dictionary that forgets what was not used for long, so that strangers who choose the keys cannot make it grow.
///
/// Two generations: what is used moves to the young one; when that is full, it becomes the old one and the old one goes.
struct BoundedCache<Key: Hashable, Value> {
    /// Entries at most.
    let limit: Int
    private var young: [Key: Value] = [:]
    private var old: [Key: Value] = [:]

    /// `limit` is at least 2.
    init(limit: Int) { self.limit = limit }

    /// An upper bound of the number of entries.
    var count: Int { young.count + old.count }

    /// Reading counts as use.
    subscript(key: Key) -> Value? {
        mutating get {
            if let value = young[key] { return value }
            guard let value = old.removeValue(forKey: key) else { return nil }
            insert(value, key)
            return value
        }
        set {
            guard let newValue else {
                young[key] = nil
                old[key] = nil
                return
            }
            insert(newValue, key)
        }
    }

    /// The value, without counting as use.
    func peek(_ key: Key) -> Value? { young[key] ?? old[key] }

    private mutating func insert(_ value: Value, _ key: Key) {
        if young[key] == nil, young.count >= limit / 2 {
            old = young
            young.removeAll()
        } else {
            old[key] = nil
        }
        young[key] = value
    }
}
