extension ReportForm {
    /// The text of last resort: a form that is missing.
    public static let general = ReportForm(
        subject: "Mail could not be delivered",
        text: """
            Your message could not be delivered to the recipients listed below.
            The reason is given with each of them. The mail system will not try again.
            """)

    /// The text where there is no file of that name.
    public static func standard(_ kind: ReportKind) -> ReportForm {
        switch kind {
        case .delivery, .expired: general
        case .delayed:
            ReportForm(
                subject: "Mail is delayed",
                text: """
                    Your message has not yet been delivered to the recipients listed below.
                    You need not do anything: delivery goes on.
                    """)
        case .success:
            ReportForm(
                subject: "Mail was delivered",
                text: """
                    You have asked to be told when your message is delivered.
                    What became of it is listed below for each recipient.
                    """)
        case .relayed:
            ReportForm(
                subject: "Mail was passed on",
                text: """
                    Your message has been passed on to the mail systems listed below,
                    which may tell you nothing more.
                    """)
        case .expanded:
            ReportForm(
                subject: "Mail was handed to a list",
                text: """
                    Your message has been handed to the members of the lists below.
                    Nothing more is reported about them.
                    """)
        case .doublefault:
            ReportForm(
                subject: "A report could not be delivered",
                text: """
                    A delivery report or another message without a return address could not
                    be delivered. It is returned below; nobody else is told.
                    """)
        }
    }
}
