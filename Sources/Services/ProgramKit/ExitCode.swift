/// sysexits.h, as all programs and agents use it.
public enum ExitCode: Int32, Sendable {
    case ok = 0
    case usage = 64
    case dataError = 65
    case noInput = 66
    case noUser = 67
    case noHost = 68
    case unavailable = 69
    case software = 70
    case osError = 71
    case osFile = 72
    case cannotCreate = 73
    case ioError = 74
    case temporaryFailure = 75
    case `protocol` = 76
    case noPermission = 77
    case configuration = 78
}
