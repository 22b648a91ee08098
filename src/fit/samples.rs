//! The numbers that are learned from, column by column.

use hyperfake_predictor::{Error, Feature, Output, Range, Result};

use super::{
    LeftOut, Options,
    blocks::Blocks,
    intake::Call,
    selection::{Chosen, LEAST},
};

/// A feature that is known of fewer of the calls than this share is left out.
const KNOWN: f64 = 0.95;

/// A feature whose values are closer together than this share of them does not vary.
const VARIES: f64 = 1e-3;

/// The calls in the order in which they began.
#[derive(Debug)]
pub(super) struct Samples {
    /// The features that can be learned from.
    pub(super) columns: Vec<Column>,
    /// In the order of `Output::ALL`.
    pub(super) targets: [Target; 3],
    pub(super) blocks: Blocks,
    /// Features that are left out, and why.
    pub(super) without: Vec<(Feature, String)>,
}

/// A feature's values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) feature: Feature,
    pub(super) values: Vec<f64>,
    pub(super) range: Range,
}

/// What is learned.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Target {
    /// The same for each call.
    Same(f64),
    /// The logarithms; NaN for what is not known.
    Logs(Vec<f64>),
}

impl Target {
    pub(super) fn logs(&self) -> Option<&[f64]> {
        match self {
            Self::Same(_) => None,
            Self::Logs(logs) => Some(logs),
        }
    }
}

impl Samples {
    /// Takes the calls apart, and leaves out those that lack a feature which the others have.
    pub(super) fn of(chosen: &mut Chosen, options: &Options) -> Result<Self> {
        let mut without = Vec::new();
        let mut features = Vec::new();
        for feature in Feature::ALL {
            let index = feature as usize;
            let unknown = chosen.calls.iter().filter(|call| call.features[index].is_nan()).count();
            let count = chosen.calls.len();
            if unknown == count {
                without.push((feature, "it is not known".to_owned()));
            } else if unknown as f64 > (1.0 - KNOWN) * count as f64 {
                let why = format!("it is not known of {unknown} of {count} calls");
                without.push((feature, why));
            } else if unknown > 0 {
                chosen.calls.retain(|call| !call.features[index].is_nan());
                let what = format!("calls whose {feature} is not known");
                chosen.left_out.push(LeftOut { what, calls: unknown as u64 });
                features.push(feature);
            } else {
                features.push(feature);
            }
        }
        let count = chosen.calls.len();
        if count < LEAST {
            return Err(Error::invalid(format!(
                "found {count} calls whose features are known, expected at least {LEAST}"
            )));
        }
        let mut columns = Vec::new();
        for feature in features {
            match column(&chosen.calls, feature) {
                Ok(column) => columns.push(column),
                Err(why) => without.push((feature, why)),
            }
        }
        without.sort_by_key(|(feature, _)| *feature);
        let targets = Output::ALL.map(|output| target(chosen, output, options));
        Ok(Self { columns, targets, blocks: Blocks::new(count), without })
    }

    pub(super) fn count(&self) -> usize {
        self.blocks.count()
    }

    /// The feature that says how loaded the worker is, if one that does varies.
    pub(super) fn load(&self) -> Option<&Column> {
        let of = |feature| self.columns.iter().find(move |column| column.feature == feature);
        of(Feature::ActiveCalls).or_else(|| of(Feature::WorkerCpuCores))
    }
}

/// A feature's values, or why nothing can be learned from them.
fn column(calls: &[Call], feature: Feature) -> Result<Column, String> {
    let values: Vec<f64> = calls.iter().map(|call| call.features[feature as usize]).collect();
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    let (least, greatest) = (sorted[0].max(0.0), sorted[sorted.len() - 1]);
    // A few strays say nothing either: one in 200 on each side may be anywhere.
    let strays = sorted.len() / 200;
    let (low, high) = (sorted[strays], sorted[sorted.len() - 1 - strays]);
    let range = Range::new(least, greatest).filter(|_| least < greatest);
    match range {
        None => Err(format!("it is {least} in all calls")),
        Some(range) if high - low <= VARIES * high.abs() => Err(match low == high {
            true => format!("it is {low} in nearly all calls, of {range}"),
            false => format!("it hardly varies: {range}"),
        }),
        Some(range) => Ok(Column { feature, values, range }),
    }
}

fn target(chosen: &mut Chosen, output: Output, options: &Options) -> Target {
    let numbers: Vec<f64> = chosen.calls.iter().map(|call| call.targets[output as usize]).collect();
    let known: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).collect();
    let stated = match output {
        Output::RuntimeNs => None,
        Output::CpuCores => options.cpu_cores,
        Output::RamBytes => options.ram_bytes.map(|bytes| bytes as f64),
    };
    if known.len() < LEAST {
        let number = stated.unwrap_or(0.0);
        let note = format!(
            "{output} is known of {} calls: the model answers {number} for it{}",
            known.len(),
            if stated.is_some() { ", as asked for" } else { "" },
        );
        chosen.notes.push(note);
        return Target::Same(number);
    }
    let unknown = numbers.len() - known.len();
    if unknown > 0 {
        chosen.notes.push(format!("{output} is not known of {unknown} calls, the others count"));
    }
    let most = known.iter().copied().fold(0.0, f64::max);
    // What the program counts in.
    let unit = if output == Output::CpuCores { 1e-6 } else { 1.0 };
    if most < unit || (output != Output::RuntimeNs && known.iter().all(|one| *one == most)) {
        return Target::Same(most);
    }
    let floor = floor(&known).max(unit / 2.0);
    let below = known.iter().filter(|number| **number < floor).count();
    if below > 0 {
        chosen
            .notes
            .push(format!("{output} is 0 or nearly 0 in {below} calls: it counts as {floor:.3e}"));
    }
    Target::Logs(
        numbers
            .into_iter()
            .map(|number| if number.is_nan() { f64::NAN } else { libm::log(number.max(floor)) })
            .collect(),
    )
}

/// What stands for 0, which has no logarithm: less than all other numbers, and so little that the mean
/// does not change.
fn floor(known: &[f64]) -> f64 {
    const SHARE: f64 = 1e-3;
    let least = known.iter().copied().filter(|number| *number > 0.0).fold(f64::INFINITY, f64::min);
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    (least / 2.0).min(SHARE * mean)
}
