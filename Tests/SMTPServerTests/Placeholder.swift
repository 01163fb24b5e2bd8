// SMTPServerTests
