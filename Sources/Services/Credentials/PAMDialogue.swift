import CPAM
import Glibc
import SASL

/// Answers what PAM modules ask (pam_conv(3)): hidden questions with the password, open ones with the user's name; messages are
/// for nobody.
final class PAMDialogue: Sendable {
    private let user: UserName
    private let secret: Secret

    init(user: UserName, secret: Secret) {
        self.user = user
        self.secret = secret
    }

    /// The function for `pam_conv`, whose data is an unretained reference to a dialogue.
    static let converse:
        @convention(c) (
            Int32, UnsafeMutablePointer<UnsafePointer<pam_message>?>?,
            UnsafeMutablePointer<UnsafeMutablePointer<pam_response>?>?, UnsafeMutableRawPointer?
        ) -> Int32 = { count, messages, responses, context in
            guard let messages, let responses, let context, (1...PAM_MAX_NUM_MSG).contains(count) else {
                return PAM_CONV_ERR
            }
            let dialogue = Unmanaged<PAMDialogue>.fromOpaque(context).takeUnretainedValue()
            return dialogue.answer(UnsafeBufferPointer(start: messages, count: Int(count)), responses)
        }

    private func answer(
        _ messages: UnsafeBufferPointer<UnsafePointer<pam_message>?>,
        _ responses: UnsafeMutablePointer<UnsafeMutablePointer<pam_response>?>
    ) -> Int32 {
        // PAM frees the array and the texts.
        guard let memory = calloc(messages.count, MemoryLayout<pam_response>.stride) else { return PAM_BUF_ERR }
        let answers = memory.bindMemory(to: pam_response.self, capacity: messages.count)
        for (index, message) in messages.enumerated() {
            let text: UnsafeMutablePointer<CChar>?
            switch message?.pointee.msg_style {
            case PAM_PROMPT_ECHO_OFF: text = secret.withCString { password, _ in strdup(password) }
            case PAM_PROMPT_ECHO_ON: text = strdup(user.text)
            case PAM_TEXT_INFO, PAM_ERROR_MSG: continue
            default: text = nil
            }
            guard let text else {
                Self.discard(answers, messages.count)
                return PAM_CONV_ERR
            }
            answers[index].resp = text
        }
        responses.pointee = answers
        return PAM_SUCCESS
    }

    private static func discard(_ answers: UnsafeMutablePointer<pam_response>, _ count: Int) {
        for index in 0..<count {
            guard let text = answers[index].resp else { continue }
            explicit_bzero(text, strlen(text))
            free(text)
        }
        free(answers)
    }
}
