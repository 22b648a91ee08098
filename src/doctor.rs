//! `hyperfake doctor`: what this machine offers.

use std::time::Duration;

use serde_json::json;

use crate::{
    backends,
    cli::DoctorArgs,
    clock::{Clock, Lateness, precise},
    format,
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
    let worker = measure(&clock).await;
    let thread = sleep_on_a_thread(&clock);
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
            "clock_lateness": lateness(&worker),
            "thread_sleep_lateness": lateness(&thread),
        });
        return format!("{report:#}");
    }
    let onnx_runtime = match onnx_runtime {
        Ok((path, version)) => format!("{version}, {}", path.display()),
        Err(reasons) => {
            format!("none, 'just ort' installs one; tried\n  {}", reasons.join("\n  "))
        }
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
         the worker's clock   {SLEEPS} sleeps of {} ended late by {}\n\
         a bare thread        {}",
        format::duration(SLEEP),
        lateness(&worker),
        lateness(&thread),
    )
}

async fn measure(clock: &Clock) -> Lateness {
    for _ in 0..SLEEPS {
        clock.sleep_until(clock.now() + SLEEP).await;
    }
    clock.lateness()
}

/// What the operating system gives to whoever asks it directly.
fn sleep_on_a_thread(clock: &Clock) -> Lateness {
    let mut lateness = Lateness::empty();
    for _ in 0..SLEEPS {
        let deadline = clock.now() + SLEEP;
        std::thread::sleep(SLEEP);
        lateness.record(clock.now().saturating_duration_since(deadline));
    }
    lateness
}
