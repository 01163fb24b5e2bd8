import CPAM
import CPosix
import Glibc
import MailModel
import SASL

/// Asks PAM: the service's `auth` rules, then its `account` rules if it has any, so that expired and locked accounts are refused.
struct PAMVerifier {
    let service: String
    /// `nil`: the system's.
    let directory: String?

    func check(_ user: UserName, _ secret: Secret, client: IPAddress?) -> CredentialVerdict {
        let dialogue = PAMDialogue(user: user, secret: secret)
        // PAM keeps the pointer until pam_end.
        let context = Unmanaged.passRetained(dialogue)
        defer { context.release() }
        var conversation = pam_conv(conv: PAMDialogue.converse, appdata_ptr: context.toOpaque())
        return withUnsafePointer(to: &conversation) { conversation in
            var handle: OpaquePointer?
            let started =
                directory.map { pam_start_confdir(service, user.text, conversation, $0, &handle) }
                ?? pam_start(service, user.text, conversation, &handle)
            guard started == PAM_SUCCESS, let handle else {
                return .unavailable(.pam, "PAM cannot start service \(service) (result \(started))")
            }
            var result = PAM_SUCCESS
            defer { pam_end(handle, result) }
            result = prepare(handle, client)
            guard result == PAM_SUCCESS else { return unavailable(handle, result, "start") }
            let flags = Int32(bitPattern: PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK)
            result = pam_authenticate(handle, flags)
            guard result == PAM_SUCCESS else { return failure(handle, result, "auth") }
            if PAMServiceFile.hasAccountRules(service, directory: directory) {
                result = pam_acct_mgmt(handle, flags)
                // What no module has an opinion about is no reason to refuse.
                guard result == PAM_SUCCESS || result == PAM_IGNORE else { return failure(handle, result, "account") }
            }
            return .accepted(.pam, as: canonicalName(handle, user))
        }
    }

    private func prepare(_ handle: OpaquePointer, _ client: IPAddress?) -> Int32 {
        // Rules for hosts and terminals (pam_access, pam_time) want both.
        for (item, value) in [(PAM_TTY, "smtp"), (PAM_RHOST, client?.description)] {
            guard let value else { continue }
            let result = pam_set_item(handle, item, value)
            guard result == PAM_SUCCESS else { return result }
        }
        return cpam_never_delay(handle)
    }

    /// Modules may know the user under another name.
    private func canonicalName(_ handle: OpaquePointer, _ user: UserName) -> UserName? {
        var item: UnsafeRawPointer?
        guard pam_get_item(handle, PAM_USER, &item) == PAM_SUCCESS, let item else { return nil }
        let name = UserName(String(cString: item.assumingMemoryBound(to: CChar.self)))
        return name == user ? nil : name
    }

    /// PAM's words for a result, which hold nothing of the user.
    private func text(_ handle: OpaquePointer, _ result: Int32, _ stage: String) -> String {
        let words = pam_strerror(handle, result).map { String(cString: $0) } ?? "result \(result)"
        return "\(service), \(stage): \(words)"
    }

    private func unavailable(_ handle: OpaquePointer, _ result: Int32, _ stage: String) -> CredentialVerdict {
        .unavailable(.pam, text(handle, result, stage))
    }

    private func failure(_ handle: OpaquePointer, _ result: Int32, _ stage: String) -> CredentialVerdict {
        switch result {
        // The user's: a wrong password, no account, one that is locked or expired, or whose password must be changed first.
        case PAM_AUTH_ERR, PAM_USER_UNKNOWN, PAM_MAXTRIES, PAM_PERM_DENIED, PAM_CRED_INSUFFICIENT, PAM_ACCT_EXPIRED,
            PAM_NEW_AUTHTOK_REQD, PAM_AUTHTOK_EXPIRED, PAM_CRED_EXPIRED, PAM_IGNORE:
            return .refused(.pam, text(handle, result, stage))
        // All that pam_exec says when its program refuses; and guesses at passwords must not pass for trouble of ours.
        case PAM_SYSTEM_ERR: return .refused(.pam, text(handle, result, stage))
        // Everything else says that PAM does not work, and nothing of the user.
        default: return unavailable(handle, result, stage)
        }
    }
}
