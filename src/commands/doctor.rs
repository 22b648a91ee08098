//! `hyperfake doctor`: what this machine offers.

use std::time::Duration;

use serde_json::json;

use crate::{
    args::DoctorArgs,
    backends,
    clock::{Clock, Lateness, precise},
    report::format,
};

/// How the clock is measured: this many sleeps of this length.
const SLEEPS: usize = 200;
const SLEEP: Duration = Duration::from_micros(1500);

/// Looks around and returns the report to print.
pub async fn examine(args: &DoctorArgs) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let vectors = backends::vector_instructions();
    let onnx_runtime = backends::find_onnx_runtime(args.ort_lib.as_deref());
    let clock = precise::start();
    let sleeps = Sleeps::compare(&clock).await;
    if args.json {
        let lateness = |lateness: &Lateness| {
            json!({
                "median_ns": lateness.quantile(0.5).as_nanos() as u64,
                "p99_ns": lateness.quantile(0.99).as_nanos() as u64,
                "max_ns": lateness.max().as_nanos() as u64,
            })
        };
        let report = json!({
            "cores": cores,
            "vector_instructions": vectors,
            "onnx_runtime": match &onnx_runtime {
                Ok((path, version)) => json!({"library": path, "version": version}),
                Err(reasons) => json!({"tried": reasons}),
            },
            "clock_early": sleeps.early,
            "clock_lateness": lateness(&sleeps.clock),
            "thread_sleep_lateness": lateness(&sleeps.thread),
            "tokio_sleep_lateness": lateness(&sleeps.tokio),
        });
        return format!("{report:#}");
    }
    let onnx_runtime = match onnx_runtime {
        Ok((path, version)) => format!("{version}, {}", path.display()),
        Err(reasons) => {
            format!("none, 'just ort' installs one; tried\n  {}", reasons.join("\n  "))
        }
    };
    let early = match sleeps.early {
        0 => String::new(),
        early => format!("; {early} ended EARLY"),
    };
    let lateness = |lateness: &Lateness| {
        format!(
            "{} at the median, {} at p99",
            format::duration(lateness.quantile(0.5)),
            format::duration(lateness.quantile(0.99))
        )
    };
    format!(
        "cores                {cores}\n\
         vector instructions  {vectors}\n\
         ONNX Runtime         {onnx_runtime}\n\
         the worker's clock   {SLEEPS} sleeps of {} ended late by {}{early}\n\
         a bare thread        {}\n\
         tokio's timer        {}",
        format::duration(SLEEP),
        lateness(&sleeps.clock),
        lateness(&sleeps.thread),
        lateness(&sleeps.tokio),
    )
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
            (worker.record(ended - deadline));

            let deadline = clock.now() + SLEEP;
            std::thread::sleep(SLEEP);
            (thread.record(clock.now() - deadline));

            let deadline = clock.now() + SLEEP;
            #[expect(clippy::disallowed_methods, reason = "what the clock is compared with")]
            tokio::time::sleep(SLEEP).await;
            (tokio.record(clock.now() - deadline));
        }
        Self { clock: worker, thread, tokio, early }
    }
}
