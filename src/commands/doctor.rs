//! `hyperfake doctor`: what this machine offers.

use std::time::Duration;

use super::Output;
use crate::{
    args::DoctorArgs,
    backends,
    clock::{Clock, precise},
    machine::Machine,
    report::{DoctorReport, OnnxRuntime, Percentiles, format},
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
        cores: Machine::detect().cores,
        vector_instructions: backends::vector_instructions(),
        onnx_runtime,
        clock_early: sleeps.early,
        clock_lateness: percentiles(&sleeps.clock),
        thread_sleep_lateness: percentiles(&sleeps.thread),
        tokio_sleep_lateness: percentiles(&sleeps.tokio),
        sleeps: format!("{SLEEPS} sleeps of {}", format::duration(SLEEP)),
    };
    Output::success(if args.json { report.json() } else { report.text() })
}

/// In nanoseconds.
fn percentiles(lateness: &[Duration]) -> Percentiles<u64> {
    let numbers = lateness.iter().map(|late| late.as_nanos() as u64);
    Percentiles::of(numbers).unwrap_or_default()
}

/// How late the same sleep ends in three ways, one after the other in each round, so that what
/// slows the machine down slows all of them.
struct Sleeps {
    /// As the worker's calls sleep.
    clock: Vec<Duration>,
    /// As the operating system lets a thread sleep that asks it directly.
    thread: Vec<Duration>,
    /// As tokio's own timer sleeps.
    tokio: Vec<Duration>,
    /// How many sleeps of the worker's clock ended early, which none may.
    early: usize,
}

impl Sleeps {
    async fn compare(clock: &Clock) -> Self {
        let [mut worker, mut thread, mut tokio] = [const { Vec::new() }; 3];
        let mut early = 0;
        for _ in 0..SLEEPS {
            let deadline = clock.now() + SLEEP;
            clock.sleep_until(deadline).await;
            let ended = clock.now();
            early += usize::from(ended < deadline);
            worker.push(ended - deadline);

            let deadline = clock.now() + SLEEP;
            std::thread::sleep(SLEEP);
            thread.push(clock.now() - deadline);

            let deadline = clock.now() + SLEEP;
            #[expect(clippy::disallowed_methods, reason = "what the clock is compared with")]
            tokio::time::sleep(SLEEP).await;
            tokio.push(clock.now() - deadline);
        }
        Self { clock: worker, thread, tokio, early }
    }
}
