import CPosix
import Glibc
import Resolver

/// The resolvers of the policy: one for what decides, and a few for block and allow lists, each made when it is asked first.
///
/// libunbound judges a server that it forwards to by all its answers: when the names of one dead list are never answered, it soon
/// gives up on the server for all names. So lists have resolvers apart, and lists that die do not take others along.
final class FactResolvers {
    /// Resolvers for lists; the first lists that are asked have one each.
    static let listLimit = 4
    /// Lists whose resolver is remembered.
    private static let assignmentLimit = 1000

    private let configuration: ResolverConfiguration
    private let main: ResolverClient
    private var lists: [ResolverClient] = []
    private var assignments: [String: Int] = [:]
    /// Readable when one of them has something to do.
    private let epoll: Int32
    private var watched: Set<Int32> = []

    init(_ configuration: ResolverConfiguration) throws(ResolverError) {
        self.configuration = configuration
        main = try ResolverClient(configuration)
        epoll = cposix_epoll_create()
        guard epoll >= 0 else { throw ResolverError(["resolver: epoll: \(String(cString: strerror(errno)))"]) }
    }

    deinit { close(epoll) }

    /// `nil` before the first question.
    var descriptor: Int32? { watched.isEmpty ? nil : epoll }

    /// Asks the resolver of `list`, or if that is empty the main one; the result takes the question back.
    func ask(
        _ question: Question, list: String, _ completion: @escaping (Lookup<[UInt8]>) -> Void
    ) throws(ResolverError) -> () -> Void {
        let client = list.isEmpty ? main : try client(of: list)
        let ticket = try client.ask(question, completion)
        do throws(ResolverError) { try watch(client) } catch {
            client.cancel(ticket)
            throw error
        }
        return { client.cancel(ticket) }
    }

    private func watch(_ client: ResolverClient) throws(ResolverError) {
        guard let descriptor = client.descriptor, !watched.contains(descriptor) else { return }
        guard cposix_epoll_set(epoll, Int32(CPOSIX_ADD), descriptor, Int32(CPOSIX_READ)) == 0 else {
            throw ResolverError(["resolver: epoll: \(String(cString: strerror(errno)))"])
        }
        watched.insert(descriptor)
    }

    func process() {
        main.process()
        for client in lists { client.process() }
    }

    private func client(of list: String) throws(ResolverError) -> ResolverClient {
        let index: Int
        if let assigned = assignments[list] {
            index = assigned
        } else {
            index = assignments.count % Self.listLimit
            if assignments.count < Self.assignmentLimit { assignments[list] = index }
        }
        if index < lists.count { return lists[index] }
        let fresh = try ResolverClient(configuration)
        lists.append(fresh)
        return fresh
    }
}
