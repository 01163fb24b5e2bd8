// SpoolFormat
