// SMTPProtocolTests
