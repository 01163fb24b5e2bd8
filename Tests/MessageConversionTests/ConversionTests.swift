import MessageConversion
import Testing

@Suite("Conversion of messages to 7 bits and back")
struct ConversionTests {
    @Test(
        "what is 7-bit needs nothing",
        arguments: [
            "Subject: x\n\nHello\n", "\n", "", "Subject: x\n",
            "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n",
            "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n",
        ])
    func plain(message: String) {
        let plan = Conversion.plan(Conversion.wire(message))
        #expect(!plan.isNeeded && plan.obstacle == nil && !plan.hasEightBitOctets)
        #expect(!Conversion.plan(Conversion.wire(message), ConversionOptions(.eightBit)).isNeeded)
    }

    @Test("a text of 8 bits becomes quoted-printable")
    func text() {
        let message = Conversion.wire(
            "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGr\u{fc}\u{df}e = \nFrom me \nend\n"
        )
        #expect(
            Conversion.text(Conversion.convert(message)) == """
                MIME-Version: 1.0
                Content-Type: text/plain; charset=utf-8
                Content-Transfer-Encoding: quoted-printable

                Gr=C3=BC=C3=9Fe =3D=20
                =46rom me=20
                end

                """)
    }

    @Test("what says nothing of itself gets MIME fields, and a charset that says that nobody knows (RFC 1428)")
    func unknown() {
        #expect(
            Conversion.text(Conversion.convert(Conversion.wire("Subject: x\n\n\u{e9}\n"))) == """
                Subject: x
                MIME-Version: 1.0
                Content-Type: text/plain; charset=UNKNOWN-8BIT
                Content-Transfer-Encoding: quoted-printable

                =C3=A9

                """)
        let ascii = "Content-Type: text/html; charset=us-ascii; format=flowed\nMIME-Version: 1.0\n\n\u{e9}\n"
        #expect(
            Conversion.text(Conversion.convert(Conversion.wire(ascii))) == """
                Content-Type: text/html;
                 format=flowed;
                 charset=UNKNOWN-8BIT
                MIME-Version: 1.0
                Content-Transfer-Encoding: quoted-printable

                =C3=A9

                """)
    }

    @Test("each part of a multipart for itself; its own label follows, and what stands around is stripped")
    func multipart() {
        let message = """
            MIME-Version: 1.0
            Content-Type: multipart/mixed; boundary="a b"
            Content-Transfer-Encoding: 8bit

            pr\u{e9}amble
            --a b
            Content-Type: text/plain; charset=utf-8
            Content-Transfer-Encoding: 8bit

            \u{e9}
            --a b
            Content-Type: application/x-thing
            Content-Transfer-Encoding: binary

            \u{e9}
            --a b
            Content-Type: text/plain
            Content-Transfer-Encoding: 8bit

            plain
            --a b--
            """
        #expect(
            Conversion.text(Conversion.convert(Conversion.wire(message))) == """
                MIME-Version: 1.0
                Content-Type: multipart/mixed; boundary="a b"
                Content-Transfer-Encoding: 7bit

                pr??amble
                --a b
                Content-Type: text/plain; charset=utf-8
                Content-Transfer-Encoding: quoted-printable

                =C3=A9
                --a b
                Content-Type: application/x-thing
                Content-Transfer-Encoding: base64

                w6k=
                --a b
                Content-Type: text/plain
                Content-Transfer-Encoding: 7bit

                plain
                --a b--
                """)
    }

    @Test("a message in a message is converted inside, for nothing else may be done with it (RFC 2046 §5.2.1)")
    func nested() {
        let message = """
            MIME-Version: 1.0
            Content-Type: message/rfc822
            Content-Transfer-Encoding: 8bit

            Subject: \u{e9}
            Content-Type: text/plain; charset=utf-8
            Content-Transfer-Encoding: 8bit

            \u{e9}

            """
        #expect(
            Conversion.text(Conversion.convert(Conversion.wire(message))) == """
                MIME-Version: 1.0
                Content-Type: message/rfc822
                Content-Transfer-Encoding: 7bit

                Subject: =?UTF-8?Q?=C3=A9?=
                Content-Type: text/plain; charset=utf-8
                Content-Transfer-Encoding: quoted-printable
                MIME-Version: 1.0

                =C3=A9

                """)
    }

    @Test(
        "nothing inside what is signed, encrypted, in pieces or forbidden is touched",
        arguments: [
            "Content-Type: multipart/signed; boundary=b; micalg=x\n\n--b\n\n\u{e9}\n--b--\n",
            "Content-Type: multipart/encrypted; boundary=b\n\n--b\n\n\u{e9}\n--b--\n",
            "Content-Type: message/partial; id=x\n\n\u{e9}\n",
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n\u{e9}\n",
            "Content-Conversion: prohibited\n\n\u{e9}\n", "Conversion: Prohibited\n\n\u{e9}\n",
            "Content-Type: multipart/mixed\n\n\u{e9}\n",
        ])
    func sealed(message: String) {
        #expect(Conversion.plan(Conversion.wire(message)).obstacle == .sealed)
        #expect(Conversion.plan(Conversion.wire(message), ConversionOptions(.eightBit)).isNeeded == false)
        let seven = message.replacing("\u{e9}", with: "e")
        #expect(Conversion.plan(Conversion.wire(seven)).obstacle == nil)
    }

    @Test("the rest beside a signed part is converted, and the signed part stays octet for octet")
    func besideSigned() throws {
        let signed =
            "Content-Type: multipart/signed; boundary=s\nContent-Transfer-Encoding: 7bit\n\n--s\nX: =?x?=\n\n =20 \t\nx\n\n--s\n\nsig\n--s--\n"
        let message =
            "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\n\n--o\n\(signed)\n--o\nContent-Type: text/plain; charset=utf-8\n\n\u{e9}\n--o--\n"
        let result = try #require(Conversion.text(Conversion.convert(Conversion.wire(message))))
        #expect(result.contains("--o\n" + signed + "\n--o\n"))
        #expect(result.contains("quoted-printable\n\n=C3=A9\n--o--"))
    }

    private static let long = String(repeating: "x", count: 600_000)
    /// Too long headers with 8-bit octets only in what is passed over: in front, in the line that is too much, in an earlier field,
    /// of a part.
    private static let longHeaders = [
        "X: \u{e9}\(long)\n\ne\n",
        "X: " + long.prefix(524_200) + "\u{e9}" + long.prefix(100) + "\n\ne\n",
        "Subject: \u{e9}\nX: \(long)\n\ne\n",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nX: \u{e9}\(long)\n\ne\n--b--\n",
    ]

    @Test(
        "what cannot be done says why",
        arguments: [
            ("Content-Transfer-Encoding: x-uue\n\n\u{e9}\n", ConversionPlan.Obstacle.unknownEncoding),
            ("X: \(long)\n\n\u{e9}\n", .tooComplex),
        ] + longHeaders.map { ($0, .tooComplex) })
    func obstacles(message: String, obstacle: ConversionPlan.Obstacle) {
        for piece in [Int.max, 1000] {
            let plan = Conversion.plan(Conversion.wire(message), piece: piece)
            #expect(plan.obstacle == obstacle && plan.hasEightBitOctets)
        }
        let kept = ConversionOptions(.sevenBit, convertsHeaders: false)
        #expect(Conversion.plan(Conversion.wire("Subject: \u{e9}\n\nx\n"), kept).obstacle == .header)
        #expect(Conversion.plan(Conversion.wire("Subject: e\n\nx\u{e9}\n"), kept).obstacle == nil)
    }

    @Test(
        "header fields",
        arguments: [
            ("Subject: Gr\u{fc}\u{df}e aus K\u{f6}ln", "Subject: =?UTF-8?B?R3LDvMOfZQ==?= aus =?UTF-8?Q?K=C3=B6ln?="),
            ("Subject: \u{e9} \u{e8}", "Subject: =?UTF-8?B?w6kgw6g=?="),
            ("Subject: =?UTF-8?Q?a?= \u{e9}", "Subject: =?UTF-8?Q?a?= =?UTF-8?Q?_=C3=A9?="),
            ("From: J\u{f6}rg <j@x.test>", "From: =?UTF-8?Q?J=C3=B6rg?= <j@x.test>"),
            ("From: \"J\u{f6}rg \\\"X\\\"\" <j@x.test>", "From: =?UTF-8?B?SsO2cmcgIlgi?= <j@x.test>"),
            ("To: a@x.test (\u{e9} b), <b@x.test>", "To: a@x.test (=?UTF-8?Q?=C3=A9?= b), <b@x.test>"),
            ("To: \u{e9}@x.test, <\u{e9}@x.test>", "To: ??@x.test, <??@x.test>"),
            ("Message-ID: <\u{e9}@x.test>", "Message-ID: <??@x.test>"),
            (
                "Content-Disposition: attachment; filename=\"\u{e9} 1.txt\"; size=4",
                "Content-Disposition: attachment;\n filename*=UTF-8''%C3%A9%201.txt; size=4"
            ),
        ])
    func fields(field: String, expected: String) {
        let result = Conversion.convert(Conversion.wire("\(field)\n\nx\n"))
        #expect(Conversion.text(result) == "\(expected)\n\nx\n")
    }

    @Test("octets of a header that are not UTF-8 are taken for the charset that is configured")
    func defaultCharset() {
        let message = Array("Subject: K".utf8) + [0xf6] + Array("ln\r\n\r\nx\r\n".utf8)
        #expect(Conversion.text(Conversion.convert(message)) == "Subject: =?ISO-8859-1?Q?K=F6ln?=\n\nx\n")
        let other = ConversionOptions(.sevenBit, defaultCharset: "KOI8-R")
        #expect(Conversion.text(Conversion.convert(message, other)) == "Subject: =?KOI8-R?Q?K=F6ln?=\n\nx\n")
    }

    @Test("quoted-printable texts are decoded for hosts that take 8 bits, and labels tell")
    func decoding() {
        let message = """
            Content-Type: multipart/mixed; boundary=b

            --b
            Content-Type: text/plain; charset=utf-8
            Content-Transfer-Encoding: quoted-printable

            Gr=C3=BC=C3=9Fe =
            und mehr =3D  
            --b
            Content-Type: text/plain
            Content-Transfer-Encoding: quoted-printable

            a=3Db
            --b--

            """
        #expect(
            Conversion.text(Conversion.convert(Conversion.wire(message), ConversionOptions(.eightBit))) == """
                Content-Type: multipart/mixed; boundary=b
                MIME-Version: 1.0
                Content-Transfer-Encoding: 8bit

                --b
                Content-Type: text/plain; charset=utf-8
                Content-Transfer-Encoding: 8bit

                Gr\u{fc}\u{df}e und mehr =
                --b
                Content-Type: text/plain
                Content-Transfer-Encoding: 7bit

                a=b
                --b--

                """)
    }

    @Test(
        "what would not be a text of legal lines stays quoted-printable",
        arguments: ["a=00b", "a=0Db", "a=0Ab", "a=ZZ", "a=", "=C3=A9" + String(repeating: "x", count: 1000)])
    func undecodable(body: String) {
        let message = "Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n\(body)"
        #expect(Conversion.convert(Conversion.wire(message), ConversionOptions(.eightBit)) == nil)
    }

    @Test("long lines are made legal, in texts and in other content")
    func longLines() throws {
        let line = String(repeating: "x", count: 5000)
        for type in ["text/plain", "application/x"] {
            let message = "MIME-Version: 1.0\nContent-Type: \(type)\n\n\u{e9}\(line)\n"
            let result = try #require(Conversion.text(Conversion.convert(Conversion.wire(message))))
            #expect(result.split(separator: "\n").allSatisfy { $0.utf8.count <= 76 })
        }
    }

    @Test("quoted-printable with octets that it does not allow is made right")
    func broken() {
        let message =
            "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\na=3D\u{e9}=\nb\n"
        #expect(
            Conversion.text(Conversion.convert(Conversion.wire(message)))
                == "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\na=3D=C3=A9b\n"
        )
    }
}
