import Glibc
import MessageConversion
import Testing

@Suite("What conversion keeps, for messages of fixed seeds")
struct ConversionPropertyTests {
    static let count = 250

    private static func messages() -> [[UInt8]] {
        (0..<count).map { seed in
            var message = GeneratedMessage(seed: UInt64(seed))
            return message.octets()
        }
    }

    @Test("the result does not depend on how the octets come", arguments: [1, 2, 3, 7, 64, 1000])
    func splits(piece: Int) {
        for (seed, message) in Self.messages().prefix(piece < 64 ? 60 : Self.count).enumerated() {
            for target in [ConversionTarget.sevenBit, .eightBit] {
                let options = ConversionOptions(target)
                #expect(
                    Conversion.plan(message, options, piece: piece) == Conversion.plan(message, options), "seed \(seed)"
                )
                #expect(
                    Conversion.convert(message, options, piece: piece) == Conversion.convert(message, options),
                    "seed \(seed)")
            }
        }
    }

    @Test("everything is 7-bit, every line is legal, and a second conversion has nothing to do")
    func legal() {
        var converted = 0
        for (seed, message) in Self.messages().enumerated() {
            guard let result = Conversion.convert(message) else { continue }
            converted += 1
            #expect(result.allSatisfy { $0 < 0x80 }, "seed \(seed)")
            #expect(result.split(separator: 0x0a, omittingEmptySubsequences: false).allSatisfy { $0.count <= 999 })
            #expect(!Conversion.plan(result).isNeeded, "seed \(seed)")
        }
        #expect(converted > Self.count / 2)
    }

    @Test("line ends may be LF")
    func lineFeeds() {
        for message in Self.messages().prefix(100) {
            #expect(Conversion.convert(message.filter { $0 != 0x0d }) == Conversion.convert(message))
        }
    }

    @Test("Python's email package reads the same out of the message before and after")
    func python() throws {
        var template = Array("/tmp/conversion.XXXXXX".utf8CString)
        let path = try #require(template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) })
        let folder = String(cString: path)
        var written = 0
        var names: [String] = []
        defer {
            for name in names { unlink("\(folder)/\(name)") }
            rmdir(folder)
        }
        func write(_ octets: [UInt8], _ name: String) throws {
            let descriptor = creat("\(folder)/\(name)", 0o600)
            try #require(descriptor >= 0)
            defer { close(descriptor) }
            try #require(Glibc.write(descriptor, octets, octets.count) == octets.count)
            names.append(name)
        }
        for (seed, message) in Self.messages().enumerated() {
            for (kind, target) in [("7", ConversionTarget.sevenBit), ("8", .eightBit)] {
                guard let result = Conversion.convert(message, ConversionOptions(target)) else { continue }
                try write(message, "\(seed).\(kind).before")
                try write(result, "\(seed).\(kind).after")
                written += 1
            }
        }
        let script = #filePath.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/compare.py"
        let command = popen("python3 '\(script)' '\(folder)' 2>&1", "r")
        let pipe = try #require(command)
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = fread(&buffer, 1, buffer.count, pipe)
            if count == 0 { break }
            output += buffer[..<count]
        }
        let status = pclose(pipe)
        #expect(status == 0, "\(String(decoding: output.prefix(3000), as: UTF8.self))")
        #expect(String(decoding: output, as: UTF8.self).contains("compared \(written) messages"))
        #expect(written > Self.count / 2)
    }
}
