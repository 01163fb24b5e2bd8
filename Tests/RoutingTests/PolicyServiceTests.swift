import ChildProcesses
import Glibc
import MailModel
import Policy
import PolicyEngine
import Testing

@testable import Router

@Suite("Router: the policy service's connections")
struct PolicyConnectionTests {
    /// Feeds `text` in pieces of `size` octets; the answers and why the asker had to go.
    private func ask(
        _ text: String, size: Int = .max, _ connection: PolicyConnection = PolicyConnection(),
        _ counts: inout ConnectionCounts, _ tables: MailTables
    ) -> (answers: [String], problem: String?) {
        let evaluator = LegacyPolicyEvaluator(tables: tables)
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let piece = Array(rest.prefix(size))
            rest = rest.dropFirst(size)
            let problem = piece.withUnsafeBytes { connection.take($0, evaluator, &counts) }
            if let problem { return ([], problem) }
        }
        let answers = String(decoding: connection.output, as: UTF8.self).split(separator: "\n").map(String.init)
        connection.output.removeAll()
        return (answers, nil)
    }

    private static let questions =
        "limits\t2\t100\n1\tconnect\tsession=a\tclient=203.0.113.9\n2\trcpt\tclient=203.0.113.9\tto=team@example.test\n"
        + "3\trcpt\tclient=203.0.113.9\tto=ghost@example.test\n4\trcpt\tclient=10.0.0.2\tto=x@there.test\n"
        + "5\texpand\tto=team\n6\tverify\tto=ghost\n7\tdisconnect\tsession=a\n"

    @Test("all questions of one read are answered, however they are split", arguments: [1, 2, 7, 64, Int.max])
    func splits(size: Int) throws {
        let instance = try RouterInstance()
        var counts = ConnectionCounts()
        let (answers, problem) = ask(Self.questions, size: size, PolicyConnection(), &counts, instance.tables)
        #expect(problem == nil)
        #expect(
            answers == [
                "1\taccept\t0\t-\tconnect", "2\taccept\t0\t-\tlocalnames:1 aliases:1",
                "3\trefuse\t550\t5.1.1\tlocalnames:1 no such user\t:No such user: <ghost@example.test>",
                "4\tsubmit\t0\t-\tsmtp-policy.relay:2", "5\taccept\t250\t2.1.5\texpand\t:<alice>\t:<bob>",
                "6\trefuse\t550\t5.1.1\tno such user\t:no such user: <ghost>", "7\taccept\t0\t-\tdisconnect",
            ])
        #expect(counts.total == 0)
    }

    @Test("sessions are counted over all askers, by unmapped address; refused ones too, dropped ones not")
    func counting() throws {
        let instance = try RouterInstance()
        var counts = ConnectionCounts()
        let first = PolicyConnection()
        let second = PolicyConnection()
        var verdicts: [String] = []
        for number in 1...12 {
            let connection = number % 2 == 0 ? first : second
            let limits = number <= 2 ? "limits\t2\t0\n" : ""
            let client = number % 3 == 0 ? "::ffff:203.0.113.9" : "203.0.113.9"
            let (answers, _) = ask(
                "\(limits)\(number)\tconnect\tsession=s\(number)\tclient=\(client)\n", connection, &counts,
                instance.tables)
            verdicts += answers.map { String($0.split(separator: "\t")[1]) }
        }
        #expect(
            verdicts == Array(repeating: "accept", count: 2) + Array(repeating: "refuse", count: 6)
                + Array(repeating: "drop", count: 4))
        #expect(counts.total == 8)
        _ = ask("1\tdisconnect\tsession=s1\n2\tdisconnect\tsession=nobody\n", second, &counts, instance.tables)
        #expect(counts.total == 7)
    }

    @Test("a session that is counted already is refused")
    func twice() throws {
        let instance = try RouterInstance()
        var counts = ConnectionCounts()
        let (answers, _) = ask(
            "1\tconnect\tsession=a\tclient=203.0.113.9\n2\tconnect\tsession=a\tclient=203.0.113.9\n",
            PolicyConnection(),
            &counts, instance.tables)
        #expect(answers.last?.hasPrefix("2\tdrop") == true)
        #expect(counts.total == 1)
    }

    @Test(
        "an asker that does not speak the protocol must go",
        arguments: [
            "hello\n", "limits\t1\n", "1\tfly\n", "x\trcpt\tto=a\n", "1\trcpt\tto\n", "1\trcpt\tclient=nowhere\n",
            "limits\t1\t1\nlimits\t1\t1\n", "\n", "GET / HTTP/1.1\r\n",
        ])
    func garbage(text: String) throws {
        let instance = try RouterInstance()
        var counts = ConnectionCounts()
        #expect(ask(text, PolicyConnection(), &counts, instance.tables).problem != nil)
    }

    @Test("a line without end costs no more than a line")
    func endless() throws {
        let instance = try RouterInstance()
        var counts = ConnectionCounts()
        let text = "1\trcpt\tto=\(String(repeating: "x", count: 1 << 20))\n"
        #expect(ask(text, size: 65536, PolicyConnection(), &counts, instance.tables).problem != nil)
    }

    @Test("tables that change are believed within a second; wrong ones are not")
    func reload() throws {
        let instance = try RouterInstance()
        var counts = ConnectionCounts()
        let question = "1\trcpt\tclient=203.0.113.9\tto=new@example.test\n"
        func verdict() -> String {
            ask(question, PolicyConnection(), &counts, instance.tables).answers.first.map {
                String($0.split(separator: "\t")[2])
            } ?? ""
        }
        #expect(verdict() == "550")
        instance.write("alice\nnew\n", to: "users")
        instance.tables.now += 1000
        #expect(verdict() == "0")
        instance.write("", to: "localnames")
        instance.write("example.test nonsense x y\n", to: "localnames")
        instance.tables.now += 1000
        #expect(verdict() == "0")
        #expect(instance.logText.contains("error table-broken"))
        #expect(instance.logText.contains("localnames:1"))
    }

    @Test("no list of users is no answer about users")
    func noUsers() throws {
        let instance = try RouterInstance(users: nil)
        var counts = ConnectionCounts()
        let (answers, _) = ask(
            "1\trcpt\tclient=203.0.113.9\tto=alice@example.test\n2\trcpt\tclient=203.0.113.9\tto=x@there.test\n",
            PolicyConnection(), &counts, instance.tables)
        #expect(answers.first?.hasPrefix("1\trefuse\t451\t4.3.0") == true)
        #expect(answers.last?.hasPrefix("2\trefuse\t550\t5.7.1") == true)
    }
}
