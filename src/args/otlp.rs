use clap::Args;

use crate::otlp::Share;

/// Spans of calls.
#[derive(Debug, Clone, Args)]
pub struct OtlpArgs {
    /// A collector of OpenTelemetry, which is sent spans of calls over gRPC, such as
    /// http://localhost:4317; the program has to be built with the cargo feature otlp
    #[arg(long, env = "HYPERFAKE_OTLP", value_name = "URL")]
    pub otlp: Option<String>,

    /// The share of calls that are sent there, from 0 to 1; the same calls in each run
    #[arg(long, env = "HYPERFAKE_OTLP_SAMPLE", value_name = "SHARE", default_value_t = Share::ALL)]
    pub otlp_sample: Share,
}
