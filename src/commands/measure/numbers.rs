use std::collections::BTreeMap;

use crate::{
    measure::{Measured, Phase},
    report::{Level, MeasureReport, Percentiles, format},
};

/// What the calls of these phases come to.
pub(in crate::commands) fn report(
    name: &str,
    measured: &Measured,
    phases: &[Phase],
) -> MeasureReport {
    let mut levels = BTreeMap::<_, Vec<_>>::new();
    let mut errors = BTreeMap::new();
    for call in measured.calls.iter().filter(|call| !call.warm_up) {
        let Some(phase) = call.phase.and_then(|phase| phases.get(phase)) else { continue };
        // Bits of positive numbers are in the order of the numbers.
        levels.entry((phase.body, phase.rate.to_bits())).or_default().push(&call.row);
        if !call.row.succeeded() {
            *errors.entry(call.row.outcome.to_string()).or_default() += 1;
        }
    }
    let levels = levels.into_iter().map(|((_, rate), rows)| {
        let answered = || rows.iter().filter(|row| row.succeeded());
        let count = answered().count() as u64;
        Level {
            rate: f64::from_bits(rate),
            request_bytes: rows[0].request_bytes.unwrap_or_default(),
            answered: count,
            failed: rows.len() as u64 - count,
            run_ns: Percentiles::of(answered().filter_map(|row| row.run_ns)),
            cpu_cores: mean(answered().filter_map(|row| row.cpu_cores)),
            ram_bytes: mean(answered().filter_map(|row| row.ram_bytes).map(|bytes| bytes as f64)),
            at_once: rows
                .iter()
                .filter_map(|row| row.active_calls)
                .max()
                .map_or(0, |most| most + 1),
        }
    });
    let cold = measured.cold_starts.iter().map(|time| time.as_nanos() as u64);
    MeasureReport {
        function: name.to_owned(),
        cold_start_ns: Percentiles::of(cold),
        levels: levels.collect(),
        errors,
        notes: measured.notes.clone(),
        stopped: measured.stopped.as_ref().map(|error| format::foreign(&error.to_string())),
        late_percent: measured.late_percent,
    }
}

fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = numbers.fold((0u64, 0.0), |(count, sum), number| (count + 1, sum + number));
    (count > 0).then(|| sum / count as f64)
}
