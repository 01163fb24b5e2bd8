import ChildProcesses
import ProgramKit

/// A socket of the master that the workers connect to.
enum OwnedListener {
    /// The name is made as the user that the workers are, who owns its folder: root changes nothing there, so nothing can be put
    /// in its way.
    static func bind(_ path: String, _ owner: ChildRequest.Identity?) throws(StartError) -> Int32 {
        var listener: Int32 = -1
        var problem: String?
        func bind() {
            do throws(UnixSocket.Failure) {
                listener = try UnixSocket.listen(SocketPath.reachable(path))
            } catch {
                problem = error.description
            }
        }
        if let owner {
            do throws(IdentityThread.Failure) { try IdentityThread.run(as: owner, bind) } catch {
                throw StartError(error.description)
            }
        } else {
            bind()
        }
        if let problem { throw StartError(problem) }
        return listener
    }
}
