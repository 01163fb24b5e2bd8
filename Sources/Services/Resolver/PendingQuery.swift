import CUnbound
import Glibc

/// One question on its way: the callback of libunbound fills it in, the asking thread waits for it.
final class PendingQuery: @unchecked Sendable {
    // Sound: `lookup` is only touched under `mutex`; the two primitives do not move and live as long as the object.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var lookup: Lookup<[UInt8]>?

    init() {
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func fulfil(_ result: Lookup<[UInt8]>) {
        pthread_mutex_lock(mutex)
        lookup = result
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    /// `nil` when the deadline (CLOCK_MONOTONIC) passed first.
    func wait(until deadline: timespec) -> Lookup<[UInt8]>? {
        var deadline = deadline
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while lookup == nil {
            if pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT { break }
        }
        return lookup
    }
}

extension Lookup where Record == [UInt8] {
    /// Copies what libunbound found; bogus answers and every rcode but NOERROR and NXDOMAIN are temporary failures.
    init(_ result: ub_result) {
        if result.bogus != 0 {
            let reason = result.why_bogus.map { String(cString: $0) } ?? "no reason given"
            self = .temporaryFailure(cleaned("DNSSEC validation failed: \(reason)"))
        } else if result.havedata != 0, let data = result.data, let lengths = result.len {
            var records: [[UInt8]] = []
            var index = 0
            while let record = data[index], index < Self.maximumRecords {
                let octets = UnsafeRawBufferPointer(start: record, count: Int(max(0, lengths[index])))
                records.append(Array(octets))
                index += 1
            }
            self =
                records.isEmpty
                ? .noData
                : .answer(
                    Answer(
                        records: records, isSecure: result.secure != 0, timeToLive: .seconds(Int(max(0, result.ttl)))))
        } else if result.rcode == 3 || result.nxdomain != 0 {
            self = .nxDomain
        } else if result.rcode == 0 {
            self = .noData
        } else {
            self = .temporaryFailure("name server answered \(rcodeName(result.rcode))")
        }
    }

    /// Records of one answer that are looked at; more than any real name has.
    private static var maximumRecords: Int { 512 }
}

/// RFC 1035 §4.1.1.
private func rcodeName(_ rcode: Int32) -> String {
    switch rcode {
    case 1: "FORMERR"
    case 2: "SERVFAIL"
    case 4: "NOTIMP"
    case 5: "REFUSED"
    default: "rcode \(rcode)"
    }
}

/// One line of printable ASCII, at most 200 octets: safe in spool fields and logs.
private func cleaned(_ text: String) -> String {
    String(decoding: text.utf8.prefix(200).map { (0x20...0x7e).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
}
