// MailModelTests
