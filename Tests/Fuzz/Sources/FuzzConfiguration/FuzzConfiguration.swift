import Configuration
import FuzzSupport

/// Property: each text is a configuration, or has mistakes that name lines which are there.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzConfiguration(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = Input(start, count) else { return 0 }
    let text = String(decoding: input.octets, as: UTF8.self)
    let lines = text.utf8.count { $0 == 0x0a } + 1
    func check(_ errors: ConfigurationErrors) {
        precondition(!errors.errors.isEmpty)
        for error in errors.errors { precondition((0...lines).contains(error.line) && !error.reason.isEmpty) }
    }
    let environment: ZEnvironment
    do throws(ConfigurationErrors) {
        environment = try ZEnvironment.parse(input.variant & 1 == 0 ? "MAILVAR=/v\nX='a b'\n" : text, file: "z")
    } catch {
        check(error)
        return 0
    }
    do throws(ConfigurationErrors) {
        let configuration = try SMTPServerConfiguration.parse(text, file: "f", environment: environment)
        precondition(!configuration.patterns.isEmpty)
        precondition(configuration.groups.allSatisfy { !$0.listeners.isEmpty && $0.groups.isEmpty })
        precondition(
            configuration.tls.isOn == false || !configuration.tls.certificateFile.isEmpty
                || !configuration.tls.keyFile.isEmpty)
    } catch {
        check(error)
    }
    do throws(ConfigurationErrors) { _ = try SMTPTLSConfiguration.parse(text, file: "t") } catch { check(error) }
    do throws(ConfigurationErrors) {
        let configuration = try StreamConfiguration.parse(text, file: "s", environment: environment)
        // No word of an argument is lost, and none is empty of parts.
        precondition(configuration.mailers.allSatisfy { $0.program.hasPrefix("/") })
        precondition(configuration.mailers.allSatisfy { $0.arguments.allSatisfy { !$0.parts.isEmpty } })
    } catch {
        check(error)
    }
    return 0
}
