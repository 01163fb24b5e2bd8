import Configuration
import MetricsCollection
import ProgramKit

/// What `zmailer metrics` prints.
public enum MetricsCommand {
    /// Prometheus's text; 69 if no program has answered.
    public static func run(_ environment: ZEnvironment) -> ExitCode {
        if let code = Control.refuseStranger("zmailer", environment) { return code }
        let text = MetricsCollector(postoffice: environment.postoffice).text
        Program.print(text)
        return MetricsCollector.isAnybodyUp(text) ? .ok : .unavailable
    }
}
