//! `hyperfake doctor`: what this machine offers.

use std::time::Duration;

use super::Output;
use crate::{
    args::DoctorArgs,
    backends,
    clock::{Clock, Lateness, precise},
    report::{DoctorReport, OnnxRuntime, SleepLateness, format},
};

/// How the clock is measured: this many sleeps of this length.
const SLEEPS: usize = 200;
const SLEEP: Duration = Duration::from_micros(1500);

/// Looks at the machine.
pub async fn run(args: &DoctorArgs) -> Output {
    let onnx_runtime = match backends::find_onnx_runtime(args.ort_lib.as_deref()) {
        Ok((path, version)) => OnnxRuntime::Found { library: path.display().to_string(), version },
        Err(tried) => OnnxRuntime::Missing { tried },
    };
    let sleeps = Sleeps::compare(&precise::start()).await;
    let report = DoctorReport {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        vector_instructions: backends::vector_instructions(),
        onnx_runtime,
        clock_early: sleeps.early,
        clock_lateness: lateness(&sleeps.clock),
        thread_sleep_lateness: lateness(&sleeps.thread),
        tokio_sleep_lateness: lateness(&sleeps.tokio),
        sleeps: format!("{SLEEPS} sleeps of {}", format::duration(SLEEP)),
    };
    Output::success(if args.json { report.json() } else { report.text() })
}

fn lateness(lateness: &Lateness) -> SleepLateness {
    let nanoseconds = |duration: Duration| duration.as_nanos() as u64;
    SleepLateness {
        median_ns: nanoseconds(lateness.quantile(0.5)),
        p99_ns: nanoseconds(lateness.quantile(0.99)),
        max_ns: nanoseconds(lateness.max()),
    }
}

/// How late the same sleep ends in three ways, one after the other in each round, so that what
/// slows the machine down slows all of them.
struct Sleeps {
    /// As the worker's calls sleep.
    clock: Lateness,
    /// As the operating system lets a thread sleep that asks it directly.
    thread: Lateness,
    /// As tokio's own timer sleeps.
    tokio: Lateness,
    /// How many sleeps of the worker's clock ended early, which none may.
    early: usize,
}

impl Sleeps {
    async fn compare(clock: &Clock) -> Self {
        let [mut worker, mut thread, mut tokio] = std::array::from_fn(|_| Lateness::empty());
        let mut early = 0;
        for _ in 0..SLEEPS {
            let deadline = clock.now() + SLEEP;
            clock.sleep_until(deadline).await;
            let ended = clock.now();
            early += usize::from(ended < deadline);
            worker.record(ended.saturating_duration_since(deadline));

            let deadline = clock.now() + SLEEP;
            std::thread::sleep(SLEEP);
            thread.record(clock.now().saturating_duration_since(deadline));

            let deadline = clock.now() + SLEEP;
            #[expect(clippy::disallowed_methods, reason = "what the clock is compared with")]
            tokio::time::sleep(SLEEP).await;
            tokio.record(clock.now().saturating_duration_since(deadline));
        }
        Self { clock: worker, thread, tokio, early }
    }
}
