//! Spans of sampled calls for an OpenTelemetry collector, with the cargo feature `otlp`.
//!
//! Calls hand their records over through a bounded queue and never wait; a thread of its own makes
//! spans of them and sends these. What finds the queue full, and what the collector does not take, is
//! left out and counted.
//!
//! Records say nothing of a request's headers, so a trace that a client began (`traceparent`) is not
//! continued: looking for that header would cost each call more than all else that is told of it.

#[cfg(feature = "otlp")]
mod exporter;
mod sample;
#[cfg(feature = "otlp")]
mod spans;
#[cfg(not(feature = "otlp"))]
mod without;

use hyperfake_predictor::Result;

#[cfg(feature = "otlp")]
pub use self::exporter::Exporter;
pub use self::sample::Share;
#[cfg(not(feature = "otlp"))]
pub use self::without::Exporter;

/// Where spans are sent, and of which calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    endpoint: String,
    share: Share,
}

/// What became of the sampled calls so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    /// Calls whose spans the collector took.
    pub calls: u64,
    /// Calls that were left out because the queue was full.
    pub dropped: u64,
    /// Calls that were left out because the collector did not take their spans.
    pub refused: u64,
}

impl Config {
    /// To the collector at this address, which speaks OTLP over gRPC: `http://host:port`, or `https://`
    /// for TLS with the authorities of this machine.
    ///
    /// # Errors
    ///
    /// `Invalid` for another address, `Unsupported` in a program that was built without this.
    pub fn new(endpoint: String, share: Share) -> Result<Self> {
        if cfg!(not(feature = "otlp")) {
            let message =
                "this program was built without OpenTelemetry: build it with '--features otlp'";
            return Err(hyperfake_predictor::Error::unsupported(message));
        }
        let url = url::Url::parse(&endpoint).ok();
        let is_known = url.is_some_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.path() == "/"
        });
        match is_known {
            true => Ok(Self { endpoint, share }),
            false => {
                let expected =
                    "expected the address of a collector's gRPC, such as http://localhost:4317";
                let message = format!("found '{endpoint}', {expected}");
                Err(hyperfake_predictor::Error::invalid(message))
            }
        }
    }
}
