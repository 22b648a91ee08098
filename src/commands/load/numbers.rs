//! What the calls of a load come to.

use std::{collections::BTreeMap, time::Duration};

use tonic::Code;

use super::Called;
use crate::{
    args::LoadArgs,
    client::{Sent, Timing},
    report::{FunctionLoad, Histogram, LoadReport, Percentiles, format},
};

/// A run is not a result when more than this share of its calls was sent later than `LATE` after
/// the intended moment: then the client was the limit, not the worker.
const LATE_SHARE: f64 = 0.01;
const LATE: Duration = Duration::from_millis(10);

pub(super) fn report(
    args: &LoadArgs,
    stopped: bool,
    took: Duration,
    functions: &[Called],
    calls: &[Sent],
) -> LoadReport {
    let lags = calls.iter().map(Sent::lag_ns);
    let late = lags.clone().filter(|lag| u128::from(*lag) > LATE.as_nanos()).count();
    let late = late as f64 / calls.len().max(1) as f64;
    let is_late = late > LATE_SHARE;
    let stopped = stopped.then(|| "it was stopped before its end".to_owned());
    let invalid_because = stopped.or_else(|| {
        is_late.then(|| {
            format!(
                "{:.1} % of the calls were sent more than {} late: the client could not keep its \
             schedule",
                100.0 * late,
                format::duration(LATE)
            )
        })
    });
    let functions = functions.iter().zip(0..).map(|(called, index)| {
        let calls = || calls.iter().filter(move |call| call.function == index);
        // A worker may claim to have waited for longer than a number holds.
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        FunctionLoad {
            image: called.image.clone(),
            function_id: called.id.clone(),
            cold_start_ns: called.cold_start.map(nanoseconds),
            ..function(calls(), took, args.histogram)
        }
    });
    LoadReport {
        rate: args.rate,
        seconds: took.as_secs_f64(),
        valid: invalid_because.is_none(),
        invalid_because,
        send_lag_ns: percentiles(lags),
        functions: functions.collect(),
    }
}

/// The numbers of one function's calls.
fn function<'a>(
    calls: impl Iterator<Item = &'a Sent>,
    took: Duration,
    histogram: bool,
) -> FunctionLoad {
    let (mut latencies, mut timed, mut errors) = (Vec::new(), Vec::new(), BTreeMap::new());
    for call in calls {
        if call.code == Code::Ok {
            latencies.push(call.latency_ns());
            timed.extend(call.timing.map(|timing| (call.observed_ns(), timing)));
        } else {
            *errors.entry(format!("{:?}", call.code)).or_default() += 1;
        }
    }
    let histogram = histogram.then(|| {
        let latencies: Vec<_> = latencies.iter().map(|ns| *ns as f64).collect();
        Histogram::of(&latencies)
    });
    let answered = latencies.len();
    let is_early = |(observed, timing): &&(u64, Timing)| *observed < timing.predicted_ns;
    let of_timed = |value: fn(&(u64, Timing)) -> u64| {
        // Without answers there are zeros; without what was predicted there is nothing to say.
        let is_known = answered == 0 || !timed.is_empty();
        is_known.then(|| percentiles(timed.iter().map(value)))
    };
    FunctionLoad {
        answered: answered as u64,
        calls_per_second: answered as f64 / took.as_secs_f64(),
        early: timed.iter().filter(is_early).count() as u64,
        errors,
        timing_error_ns: of_timed(|(observed, timing)| {
            observed.saturating_sub(timing.predicted_ns)
        }),
        worker_timing_error_ns: of_timed(|(_, timing)| timing.late_ns),
        latency_ns: percentiles(latencies),
        latency_histogram: histogram.flatten(),
        ..FunctionLoad::default()
    }
}

/// In nanoseconds; zeros without numbers.
fn percentiles(numbers: impl IntoIterator<Item = u64>) -> Percentiles<u64> {
    Percentiles::of(numbers).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(observed_ns: u64, predicted_ns: Option<u64>, code: Code) -> Sent {
        let timing =
            predicted_ns.map(|predicted_ns| Timing { predicted_ns, waited_ns: 0, late_ns: 1 });
        let (intended_ns, sent_ns) = (10, 12);
        Sent { function: 0, intended_ns, sent_ns, ended_ns: sent_ns + observed_ns, code, timing }
    }

    #[test]
    fn calls_without_a_prediction_have_no_timing_error_and_none_is_early() {
        let second = Duration::from_secs(1);
        let timed = call(90, Some(100), Code::Ok);
        let numbers = function([timed, call(50, None, Code::Ok)].iter(), second, false);
        assert_eq!((numbers.answered, numbers.early), (2, 1));
        assert_eq!(numbers.latency_ns.max, 92);
        assert_eq!(numbers.worker_timing_error_ns.unwrap().max, 1);
        let untimed = [call(50, None, Code::Ok), call(7, None, Code::NotFound)];
        let numbers = function(untimed.iter(), second, false);
        assert_eq!((numbers.early, numbers.timing_error_ns), (0, None));
        assert_eq!(numbers.errors["NotFound"], 1);
        let failed = function([call(7, None, Code::Unavailable)].iter(), second, false);
        assert_eq!(failed.timing_error_ns.unwrap(), Percentiles::default());
    }
}
