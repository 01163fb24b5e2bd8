// MailboxAgent
