//! The numbers as tables, for the terminal and the page.

use serde::Serialize;

use super::{
    Both, ByLoad, Comparison, Coverage, Forecast, Function, Measure, PerCall, RunTime, SeriesError,
    Starts, Tercile,
};
use crate::report::format::{bytes, foreign, nanoseconds};

/// A table with a head.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Table {
    pub(super) title: String,
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

/// What is not known.
const NOTHING: &str = "-";

/// The functions of both records, a row each, the worst first.
pub(super) fn summary(comparison: &Comparison) -> Table {
    let mut functions: Vec<_> = comparison.functions.iter().collect();
    let score = |function: &Function| function.score.unwrap_or(f64::INFINITY);
    functions.sort_by(|(_, a), (_, b)| score(b).total_cmp(&score(a)));
    let rows = functions.into_iter().map(|(name, function)| {
        let run_time = function.run_time.as_ref();
        let distance = run_time.map(|run_time| &run_time.distances.wasserstein);
        let number =
            |of: fn(&Measure) -> f64| distance.map_or(NOTHING.to_owned(), |d| share(of(d)));
        vec![
            foreign(name),
            format!("{} / {}", function.calls.real.calls, function.calls.fake.calls),
            run_time.map_or(NOTHING.to_owned(), |run_time| both(run_time.p50_ns, nanoseconds)),
            number(|distance| distance.fake),
            number(|distance| distance.real),
            number(|distance| distance.mean),
            optional(function.score, decimal),
            optional(run_time.map(|run_time| run_time.distances.ks.fake), decimal),
            optional(run_time.map(|run_time| run_time.distances.worst_quantile.fake), share),
            function.verdict.clone(),
        ]
    });
    Table {
        title: "Functions".to_owned(),
        head: vec![
            "function",
            "calls real / fake",
            "median real / fake",
            "W1",
            "real / real",
            "mean",
            "score",
            "KS",
            "worst percentile",
            "verdict",
        ],
        rows: rows.collect(),
    }
}

/// All that is known of a function.
pub(super) fn details(function: &Function) -> Vec<Table> {
    let mut tables = Vec::new();
    tables.extend(function.run_time.as_ref().map(run_time));
    tables.extend(function.run_time.as_ref().map(distances));
    tables.extend(function.by_load.as_ref().map(by_load));
    tables.extend(forecasts(function));
    tables.extend(function.per_call.as_ref().map(per_call));
    tables.extend(starts(&function.cold));
    tables.push(codes(function));
    tables.extend(resources(function));
    tables.extend(ranges(function));
    tables
}

/// What all functions did over time.
pub(super) fn over_time(comparison: &Comparison) -> Table {
    let row = |what: &str, error: &SeriesError, shown: fn(f64) -> String| {
        let [real, fake] = error.mean;
        let [real_peak, fake_peak] = error.peak;
        vec![
            what.to_owned(),
            optional(error.nmse, decimal),
            optional(error.nmse_real, decimal),
            both(Both { real, fake }, shown),
            both(Both { real: real_peak, fake: fake_peak }, shown),
        ]
    };
    let over_time = &comparison.over_time;
    Table {
        title: format!("Over time, in windows of {}", nanoseconds(over_time.window_seconds * 1e9)),
        head: vec!["", "NMSE", "of real / real", "mean real / fake", "peak real / fake"],
        rows: vec![
            row("answered calls each second", &over_time.rate, decimal),
            row("CPU held, in cores", &over_time.cpu_cores, decimal),
            row("memory held", &over_time.ram_bytes, bytes),
        ],
    }
}

fn run_time(run_time: &RunTime) -> Table {
    let row = |what: &str, times: Both<f64>| {
        let error = (times.real > 0.0).then(|| times.fake / times.real - 1.0);
        let error = optional(error, |error| format!("{:+.1} %", 100.0 * error));
        vec![what.to_owned(), nanoseconds(times.real), nanoseconds(times.fake), error]
    };
    Table {
        title: "Run time".to_owned(),
        head: vec!["", "real", "fake", "error"],
        rows: vec![
            row("mean", run_time.mean_ns),
            row("p50", run_time.p50_ns),
            row("p90", run_time.p90_ns),
            row("p99", run_time.p99_ns),
        ],
    }
}

fn distances(run_time: &RunTime) -> Table {
    let row = |what: &str, measure: &Measure, shown: fn(f64) -> String| {
        vec![
            what.to_owned(),
            shown(measure.fake),
            interval(measure.interval, shown),
            shown(measure.real),
            shown(measure.mean),
            optional(measure.score, decimal),
            interval(measure.score_interval, decimal),
        ]
    };
    let distances = &run_time.distances;
    Table {
        title: "Distances of the run times".to_owned(),
        head: vec!["", "fake", "95 %", "real / real", "mean", "score", "95 %"],
        rows: vec![
            row("Wasserstein over the median", &distances.wasserstein, share),
            row("Kolmogorov-Smirnov", &distances.ks, decimal),
            row("worst error of p50, p90, p99", &distances.worst_quantile, share),
        ],
    }
}

fn by_load(by_load: &ByLoad) -> Table {
    let cells = |measure: Option<&Measure>| {
        let number = |of: fn(&Measure) -> Option<f64>, shown: fn(f64) -> String| {
            optional(measure.and_then(of), shown)
        };
        [
            number(|measure| Some(measure.fake), share),
            number(|measure| Some(measure.real), share),
            number(|measure| Some(measure.mean), share),
            number(|measure| measure.quantiles, share),
            number(|measure| measure.score, decimal),
            number(|measure| measure.score_quantiles, decimal),
        ]
    };
    let row = |tercile: &Tercile| {
        let covered = |coverage: Option<Coverage>| optional(coverage.map(|it| it.p90), share);
        let mut row = vec![
            loads(tercile),
            format!("{} / {}", tercile.calls.real, tercile.calls.fake),
            both(tercile.p50_ns, nanoseconds),
        ];
        row.extend(cells(tercile.wasserstein.as_ref()));
        row.push(optional(tercile.ks.map(|ks| ks.fake), decimal));
        row.push(optional(tercile.worst_quantile.map(|worst| worst.fake), share));
        row.push(covered(tercile.coverage));
        row.push(covered(tercile.model_coverage));
        if tercile.too_few {
            row[0] += " (too few)";
        }
        row
    };
    let mut rows: Vec<_> = by_load.terciles.iter().map(row).collect();
    let mut all = vec![format!("all, with {} of the calls", share(by_load.share))];
    all.extend([NOTHING.to_owned(), NOTHING.to_owned()]);
    all.extend(cells(by_load.wasserstein.as_ref()));
    all.resize(13, NOTHING.to_owned());
    rows.push(all);
    Table {
        title: format!("Run time by load: {}", by_load.load),
        head: vec![
            "running calls",
            "calls real / fake",
            "median real / fake",
            "W1",
            "real / real",
            "mean",
            "all loads",
            "score",
            "score, all loads",
            "KS",
            "worst percentile",
            "in the fake's 90 %",
            "in the model's 90 %",
        ],
        rows,
    }
}

fn loads(tercile: &Tercile) -> String {
    match (tercile.above, tercile.up_to) {
        (None, None) => "any".to_owned(),
        (None, Some(most)) => format!("up to {most}"),
        (Some(least), None) => format!("more than {least}"),
        (Some(least), Some(most)) => format!("more than {least}, up to {most}"),
    }
}

fn forecasts(function: &Function) -> Option<Table> {
    let row = |forecast: &Forecast| {
        let covered =
            |of: fn(&Coverage) -> f64| optional(forecast.coverage.as_ref().map(of), share);
        vec![
            forecast.of.to_owned(),
            format!("{} ({} left out)", forecast.calls, forecast.left_out),
            covered(|coverage| coverage.p50),
            covered(|coverage| coverage.p90),
            covered(|coverage| coverage.p99),
            nanoseconds(forecast.crps_ns),
            nanoseconds(forecast.crps_mean_ns),
            nanoseconds(forecast.crps_quantiles_ns),
        ]
    };
    let rows: Vec<_> =
        [&function.forecast, &function.model].into_iter().flatten().map(row).collect();
    (!rows.is_empty()).then(|| Table {
        title: "Distributions that say what a real call takes".to_owned(),
        head: vec![
            "of",
            "real calls",
            "in the 50 %",
            "in the 90 %",
            "in the 99 %",
            "CRPS",
            "of the mean",
            "of all loads",
        ],
        rows,
    })
}

fn per_call(per_call: &PerCall) -> Table {
    let PerCall { mape, median_ape, mape_real, mape_mean, .. } = *per_call;
    let row = |what: &str, number: String| vec![what.to_owned(), number];
    Table {
        title: format!("{} pairs of calls, by {}", per_call.calls, per_call.by),
        head: vec!["", ""],
        rows: vec![
            row("mean absolute error", share(mape)),
            row("the same of a second run of the real", optional(mape_real, share)),
            row("the same of the mean", share(mape_mean)),
            row("median absolute error", share(median_ape)),
            row("bias of the sum", format!("{:+.1} %", 100.0 * per_call.bias)),
            row("correlation of the logarithms", optional(per_call.correlation, decimal)),
        ],
    }
}

fn starts(starts: &Starts) -> Option<Table> {
    starts.share.real.or(starts.share.fake)?;
    let pair = |times: Both<Option<f64>>, shown: fn(f64) -> String| {
        [optional(times.real, shown), optional(times.fake, shown)]
    };
    let row = |what: &str, [real, fake]: [String; 2], measure: Option<&Measure>| {
        let distance = optional(measure.map(|measure| measure.fake), share);
        let score = optional(measure.and_then(|measure| measure.score), decimal);
        vec![what.to_owned(), real, fake, distance, score]
    };
    let none = || [NOTHING.to_owned(), NOTHING.to_owned()];
    let counts = [starts.calls.real, starts.calls.fake].map(|calls| calls.to_string());
    Some(Table {
        title: "Cold starts".to_owned(),
        head: vec!["", "real", "fake", "W1", "score"],
        rows: vec![
            row("cold calls", counts, None),
            row("share of all calls", pair(starts.share, share), None),
            row("p50 of their wait", pair(starts.p50_ns, nanoseconds), starts.duration.as_ref()),
            row("p90 of their wait", pair(starts.p90_ns, nanoseconds), None),
            row("run time of cold calls", none(), starts.cold_run_time.as_ref()),
            row("run time of warm calls", none(), starts.warm_run_time.as_ref()),
        ],
    })
}

fn codes(function: &Function) -> Table {
    let row = |(code, calls): (&String, &Both<u64>)| {
        let of =
            |calls: u64, all: u64| format!("{calls} ({})", share(calls as f64 / all.max(1) as f64));
        let all = function.calls;
        vec![foreign(code), of(calls.real, all.real.calls), of(calls.fake, all.fake.calls)]
    };
    Table {
        title: "How calls ended".to_owned(),
        head: vec!["code", "real", "fake"],
        rows: function.codes.iter().map(row).collect(),
    }
}

fn resources(function: &Function) -> Option<Table> {
    let Function { cpu_cores, ram_bytes, .. } = function;
    let row = |what: &str, means: Both<Option<f64>>, shown: fn(f64) -> String| {
        vec![what.to_owned(), optional(means.real, shown), optional(means.fake, shown)]
    };
    let known = [cpu_cores.real, cpu_cores.fake, ram_bytes.real, ram_bytes.fake];
    known.iter().any(Option::is_some).then(|| Table {
        title: "What a call holds, on average".to_owned(),
        head: vec!["", "real", "fake"],
        rows: vec![row("CPU, in cores", *cpu_cores, decimal), row("memory", *ram_bytes, bytes)],
    })
}

fn ranges(function: &Function) -> Option<Table> {
    let ranges = &function.out_of_range;
    let row = |(feature, shares): (&&str, &Both<Option<f64>>)| {
        vec![(*feature).to_owned(), optional(shares.real, share), optional(shares.fake, share)]
    };
    (!ranges.features.is_empty()).then(|| Table {
        title: format!("Calls outside of {}", ranges.of),
        head: vec!["feature", "real", "fake"],
        rows: ranges.features.iter().map(row).collect(),
    })
}

fn both<T>(of: Both<T>, shown: impl Fn(T) -> String) -> String {
    format!("{} / {}", shown(of.real), shown(of.fake))
}

fn optional(number: Option<f64>, shown: impl Fn(f64) -> String) -> String {
    number.map_or(NOTHING.to_owned(), shown)
}

fn interval(interval: Option<[f64; 2]>, shown: impl Fn(f64) -> String) -> String {
    interval.map_or(NOTHING.to_owned(), |[low, high]| format!("{} to {}", shown(low), shown(high)))
}

/// As percent.
fn share(share: f64) -> String {
    let percent = 100.0 * share;
    match percent.abs() {
        ..1.0 => format!("{percent:.2} %"),
        ..1000.0 => format!("{percent:.1} %"),
        _ => format!("{percent:.0} %"),
    }
}

fn decimal(number: f64) -> String {
    match number.abs() {
        ..10.0 => format!("{number:.3}"),
        ..1000.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}
