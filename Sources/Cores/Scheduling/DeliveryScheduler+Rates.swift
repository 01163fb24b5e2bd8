// When a thread may go on: the end of its back-off, and what its rate allows.
extension DeliveryScheduler {
    /// Sets the thread's timer to the time from which it may run.
    func armWakeup(_ thread: DeliveryThread) {
        let time = max(thread.wakeup, thread.rateOpens)
        guard time > now else { return timers.cancel(thread) }
        timers.arm(.thread(thread), at: time)
    }

    /// That time has come.
    func wake(_ thread: DeliveryThread) {
        makeRunnable(thread)
        if let pool = thread.pool, !pool.suspects.isEmpty { markDirty(pool) }
    }

    /// A message of the thread has been handed out.
    func noteHandOut(_ thread: DeliveryThread) {
        guard let rules = thread.pool?.rules, rules.rate != .max else { return }
        thread.handOuts.note(at: now, interval: rules.rateInterval)
        setRate(thread)
    }

    /// When the rate allows the next one, by the rules of now.
    func setRate(_ thread: DeliveryThread) {
        guard let rules = thread.pool?.rules, rules.rate != .max else {
            thread.rateOpens = 0
            thread.handOuts = HandOutWindow()
            return armWakeup(thread)
        }
        thread.rateOpens = thread.handOuts.opens(at: now, limit: rules.rate, interval: rules.rateInterval)
        armWakeup(thread)
    }

    /// Keeps what a thread that goes has handed out: it comes again with the next message.
    func rest(_ thread: DeliveryThread) {
        guard let rules = thread.pool?.rules, let end = thread.handOuts.end(interval: rules.rateInterval), end > now
        else { return }
        restingRates[thread.key] = (thread.handOuts, end)
        guard restingRates.count > restingRatesLimit else { return }
        restingRates = restingRates.filter { $0.value.until > now }
        restingRatesLimit = max(1024, restingRates.count * 2)
    }
}
