use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use hyperfake_predictor::{Error, Result};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    SpanExporter, WithExportConfig, WithTonicConfig, tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{Resource, trace::SpanExporter as _};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

use super::{
    Config, Exported, Share,
    spans::{Hashes, Spans},
};
use crate::{
    clock::{Clock, Throttle, precise},
    record::{CallRecord, CodeName, Sink},
};

/// Sends the spans of sampled calls, from a thread of its own.
#[derive(Debug)]
pub struct Exporter {
    queue: Arc<Queue>,
    ends: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// Calls that wait to be sent, at most.
const CAPACITY: usize = 8192;
/// Calls whose spans are sent at once, at most. A call has one to four spans.
const BATCH: usize = 512;
/// How long calls gather at most before they are sent.
const GATHER: Duration = Duration::from_secs(1);
/// How long the collector may take. At the end it is not asked again once it has not answered.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is said at most that calls are left out.
const INTERVAL: Duration = Duration::from_secs(10);

impl Exporter {
    /// Starts the thread. The collector is looked for when there is something to send, so it may start
    /// later. The moments of the records are those of this clock.
    ///
    /// # Errors
    ///
    /// When the system has no thread, or what speaks with the collector cannot be set up.
    pub fn start(config: &Config, clock: Clock, code: CodeName) -> Result<Self> {
        let failed =
            |error| Error::unavailable("cannot start the exporter's thread").with_source(error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let exporter = {
            let _inside = runtime.enter();
            exporter(&config.endpoint)?
        };
        let (sender, receiver) = channel(CAPACITY);
        let hashes = Hashes::new(fastrand::u64(..));
        let spans = Spans::new(hashes.clone(), clock, code);
        let counts = Arc::new(Counts::default());
        let queue = Queue { sender, share: config.share, hashes, counts: Arc::clone(&counts) };
        let ends = CancellationToken::new();
        let sending = Sending { receiver, exporter, spans, counts, ends: ends.clone() };
        let thread = thread::Builder::new().name("spans".into());
        let thread = thread.spawn(move || runtime.block_on(sending.run())).map_err(failed)?;
        Ok(Self { queue: Arc::new(queue), ends, thread: Some(thread) })
    }

    /// What workers tell of calls.
    #[must_use]
    pub fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.queue) as _
    }

    /// Sends what waits, unless the collector does not answer, and logs what became of the calls.
    pub fn finish(mut self) -> Exported {
        self.end();
        self.queue.counts.get()
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.ends.cancel();
        if thread.join().is_err() {
            tracing::error!("the thread that sends spans panicked");
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.end();
    }
}

fn exporter(endpoint: &str) -> Result<SpanExporter> {
    let mut builder = SpanExporter::builder().with_tonic();
    builder = builder.with_endpoint(endpoint).with_timeout(PATIENCE);
    if endpoint.starts_with("https://") {
        builder = builder.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
    }
    let mut exporter = builder
        .build()
        .map_err(|error| Error::unavailable("cannot speak with a collector").with_source(error))?;
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    // The variables of the environment that OpenTelemetry knows add to this.
    let resource = Resource::builder().with_service_name("hyperfake-worker");
    exporter.set_resource(&resource.with_attribute(version).build());
    Ok(exporter)
}

/// The calls' end of the queue.
#[derive(Debug)]
struct Queue {
    sender: Sender<CallRecord>,
    share: Share,
    hashes: Hashes,
    counts: Arc<Counts>,
}

impl Sink for Queue {
    fn call_ended(&self, record: &CallRecord) {
        if self.share.has(self.hashes.of(record)) && self.sender.try_send(record.clone()).is_err() {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
}

impl Counts {
    fn get(&self) -> Exported {
        Exported {
            calls: self.calls.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }
}

/// The thread.
struct Sending {
    receiver: Receiver<CallRecord>,
    exporter: SpanExporter,
    spans: Spans,
    counts: Arc<Counts>,
    ends: CancellationToken,
}

impl Sending {
    async fn run(mut self) {
        let (clock, throttle) = (precise::start(), Throttle::every(INTERVAL));
        let (mut said, mut answers) = (0, true);
        loop {
            let batch = self.gather(&clock).await;
            if batch.is_empty() {
                break;
            }
            let count = batch.len() as u64;
            // At the end nothing waits for a collector that does not answer.
            let sent = match self.ends.is_cancelled() && !answers {
                true => Err("it has not answered".to_owned()),
                false => self.send(&batch).await,
            };
            answers = sent.is_ok();
            match sent {
                Ok(()) => self.counts.calls.fetch_add(count, Relaxed),
                Err(_) => self.counts.refused.fetch_add(count, Relaxed),
            };
            let Exported { dropped, refused, .. } = self.counts.get();
            if dropped + refused > said && throttle.is_due(clock.now()) {
                let error = sent.err().unwrap_or_default();
                tracing::warn!(dropped, refused, error, "the collector lacks spans of calls");
                said = dropped + refused;
            }
        }
        let Exported { calls, dropped, refused } = self.counts.get();
        tracing::info!(calls, dropped, refused, "no more spans are sent");
    }

    /// Waits for calls, and gathers some; nothing at the end.
    async fn gather(&mut self, clock: &Clock) -> Vec<CallRecord> {
        let mut batch = Vec::new();
        let mut until = None;
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            let due = clock.sleep_until(until.unwrap_or_else(|| clock.now() + GATHER));
            tokio::select! {
                biased;
                () = self.ends.cancelled(), if !self.receiver.is_closed() => self.receiver.close(),
                found = self.receiver.recv_many(&mut batch, room) => match found {
                    0 => break,
                    _ => _ = until.get_or_insert_with(|| clock.now() + GATHER),
                },
                () = due, if until.is_some() => break,
            }
        }
        batch
    }

    async fn send(&self, batch: &[CallRecord]) -> Result<(), String> {
        let spans = batch.iter().flat_map(|record| self.spans.of(record)).collect();
        self.exporter.export(spans).await.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests;
