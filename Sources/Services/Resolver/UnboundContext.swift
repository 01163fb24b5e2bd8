import CUnbound
import Glibc

/// A libunbound context that is set up and not yet used.
func makeUnboundContext(_ configuration: ResolverConfiguration) throws(ResolverError) -> OpaquePointer {
    guard let context = ub_ctx_create() else { throw ResolverError(["libunbound: no context: out of memory"]) }
    do {
        try configure(context, configuration)
    } catch {
        ub_ctx_delete(context)
        throw error
    }
    return context
}

private func configure(_ context: OpaquePointer, _ configuration: ResolverConfiguration) throws(ResolverError) {
    func check(_ code: Int32, _ what: String) throws(ResolverError) {
        guard code != 0 else { return }
        throw ResolverError(["resolver: \(what): \(String(cString: ub_strerror(code)))"])
    }
    // Its own log would go to standard error unasked; what matters comes back as lookups and errors.
    try check(ub_ctx_debugout(context, nil), "log")
    // Threads, not the default of forking a helper process.
    try check(ub_ctx_async(context, 1), "thread mode")
    for (option, value) in [
        // Private addresses have names too; the servers we forward to know them.
        ("unblock-lan-zones:", "yes"), ("insecure-lan-zones:", "yes"),
        // An agent holds few names; the default of 4 MiB each is for servers.
        ("msg-cache-size:", "1m"), ("rrset-cache-size:", "2m"), ("key-cache-size:", "1m"),
    ] {
        try check(ub_ctx_set_option(context, option, value), option)
    }
    if let count = configuration.parallelQueries {
        // The library's default of 16 sockets makes questions wait behind those whose servers are silent.
        try check(ub_ctx_set_option(context, "outgoing-range:", "\(count)"), "outgoing-range")
        try check(ub_ctx_set_option(context, "num-queries-per-thread:", "\(count)"), "num-queries-per-thread")
    }
    if let file = configuration.trustAnchorFile {
        try check(ub_ctx_add_ta_file(context, file), file)
    }
    if !configuration.forwarders.isEmpty {
        for server in configuration.forwarders {
            try check(ub_ctx_set_fwd(context, server), "forwarder \(server)")
        }
    } else if !configuration.isRecursive {
        // A missing file leaves libunbound recursive, which is the next best thing on a host without one.
        let code = ub_ctx_resolvconf(context, configuration.resolverFile)
        if code != UB_READFILE.rawValue { try check(code, configuration.resolverFile) }
    }
    // The deepest first: a zone that comes after the root is not found for names that sort behind its own, and the network is
    // asked for them (libunbound 1.17).
    let zones = configuration.zones.zones.map { (zone: $0, depth: $0.name.split(separator: ".").count) }
    for (zone, _) in zones.sorted(by: { $0.depth > $1.depth }) {
        try check(ub_ctx_zone_add(context, zone.name, zone.type), "zone \(zone.name) \(zone.type)")
    }
    for record in configuration.zones.records {
        try check(ub_ctx_data_add(context, record), "data \(record)")
    }
}
