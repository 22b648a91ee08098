use std::borrow::Cow;

use hyperfake_predictor::file;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    Folder, Mistake,
    mistake::Position,
    patterns::Patterns,
    reader::Located,
    spelled::{Word, WordOr},
    unknown,
    values::{Percentile, Span},
};
use crate::scenario::{Distribution, presets};

/// How long something takes.
pub(in crate::scenario) type DistributionSection = WordOr<Span, DistributionKeys>;

/// How long something takes, by one of: fixed; p50 and p99; quantiles and perhaps mean; file and column;
/// mix; preset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::scenario) struct DistributionKeys {
    /// Always this long.
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<Word<Span>>,
    /// The median of a log-normal distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<Word<Span>>,
    /// The 99th percentile of a log-normal distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<Word<Span>>,
    /// Percentiles from p0 to p100, at least two.
    #[serde(skip_serializing_if = "Option::is_none")]
    quantiles: Option<Located<Patterns<Word<Span>>>>,
    /// The mean that goes with the quantiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<Located<Word<Span>>>,
    /// A CSV file of measured values; its path is relative to this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Located<String>>,
    /// The name of the column of the values.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<Located<String>>,
    /// The unit of the values, unless the column's name ends with it, as run_ns does.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<Unit>,
    /// Several distributions, each with a weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    mix: Option<Located<Vec<Located<DistributionKeys>>>>,
    /// The weight of this one in a mix; 1 without this.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<Located<f64>>,
    /// The name of a published distribution: see 'hyperfake scenario presets'.
    #[serde(skip_serializing_if = "Option::is_none")]
    preset: Option<Located<PresetName>>,
}

/// The unit of measured values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Unit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

/// The name of a published distribution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::scenario) struct PresetName(String);

impl JsonSchema for PresetName {
    fn schema_name() -> Cow<'static, str> {
        "Preset".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = presets::distributions().iter().map(|preset| &preset.name).collect();
        json_schema!({ "enum": names })
    }
}

/// The distribution that a section states.
///
/// # Errors
///
/// Says what is wrong with it, and where.
pub(in crate::scenario) fn distribution(
    section: &Located<DistributionSection>,
    folder: &Folder<'_>,
) -> Result<Distribution, Mistake> {
    match &section.value {
        WordOr::Word(span) => Ok(Distribution::fixed(span.0)),
        WordOr::Keys(DistributionKeys { weight: Some(weight), .. }) => {
            Err(Mistake::new("found a weight, expected one in the parts of a mix alone")
                .at(weight.at))
        }
        WordOr::Keys(keys) => keys.distribution(section.at, folder),
    }
}

impl DistributionKeys {
    pub(in crate::scenario) fn distribution(
        &self,
        at: Position,
        folder: &Folder<'_>,
    ) -> Result<Distribution, Mistake> {
        let stated = [
            (self.fixed.is_some(), "fixed"),
            (self.p50.is_some() || self.p99.is_some(), "p50 and p99"),
            (self.quantiles.is_some() || self.mean.is_some(), "quantiles"),
            (
                self.file.is_some() || self.column.is_some() || self.unit.is_some(),
                "file and column",
            ),
            (self.mix.is_some(), "mix"),
            (self.preset.is_some(), "preset"),
        ];
        let names: Vec<_> = stated.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
        let expected = "expected a duration or one of fixed, p50 and p99, quantiles, file and column, \
                        mix, preset";
        let refused = |message: String| Mistake::new(message).at(at);
        match &*names {
            [] => return Err(refused(format!("found no distribution, {expected}"))),
            [_] => {}
            [one, other, ..] => {
                return Err(refused(format!("found both {one} and {other}, {expected}")));
            }
        }
        let made = match self {
            Self { fixed: Some(fixed), .. } => Ok(Distribution::fixed(fixed.0.0)),
            Self { p50: Some(p50), p99: Some(p99), .. } => {
                Distribution::log_normal(p50.0.0, p99.0.0)
            }
            Self { p50: Some(_), .. } => Err("found p50, expected p99 as well".to_owned()),
            Self { p99: Some(_), .. } => Err("found p99, expected p50 as well".to_owned()),
            Self { quantiles: Some(quantiles), mean, .. } => return table(quantiles, *mean),
            Self { mean: Some(_), .. } => {
                Err("found a mean, expected quantiles as well".to_owned())
            }
            Self { file: Some(file), column: Some(column), unit, .. } => {
                return measured(file, column, *unit, folder);
            }
            Self { mix: Some(mix), .. } => return mixture(mix, folder),
            Self { preset: Some(name), .. } => return preset(name),
            _ => Err("expected 'file' and 'column'".to_owned()),
        };
        made.map_err(refused)
    }
}

impl DistributionKeys {
    pub(super) fn preset(&self) -> Option<&str> {
        self.preset.as_ref().map(|name| &*name.value.0)
    }

    pub(super) fn parts(&mut self) -> impl Iterator<Item = &mut Located<Self>> {
        self.mix.iter_mut().flat_map(|mix| &mut mix.value)
    }

    pub(super) fn with_weight_of(self, part: &Self) -> Self {
        Self { weight: part.weight, ..self }
    }
}

#[cfg(test)]
impl DistributionKeys {
    /// The percentiles that it states, as numbers of 100.
    pub(in crate::scenario) fn percentiles(&self) -> Vec<(f64, std::time::Duration)> {
        let stated = self.quantiles.iter().flat_map(|quantiles| &quantiles.value.0);
        let stated = stated.map(|(name, value)| (name.value[1..].parse().unwrap(), value.0.0));
        let two = [(50.0, self.p50), (99.0, self.p99)];
        stated.chain(two.into_iter().filter_map(|(p, value)| Some((p, value?.0.0)))).collect()
    }
}

fn table(
    quantiles: &Located<Patterns<Word<Span>>>,
    mean: Option<Located<Word<Span>>>,
) -> Result<Distribution, Mistake> {
    /// A mean is found by adding up what is between them.
    const MOST: usize = 1000;
    let refused = |message: String| Mistake::new(message).at(quantiles.at);
    if quantiles.value.0.len() > MOST {
        return Err(refused(format!("expected at most {MOST} quantiles")));
    }
    let mut knots = Vec::with_capacity(quantiles.value.0.len());
    for (name, value) in &quantiles.value.0 {
        let percentile: Percentile = name.value.parse().map_err(|expected: String| {
            let message = format!("found '{}', {expected}", name.value.escape_debug());
            Mistake::new(message).at(name.at)
        })?;
        knots.push((percentile.0 / 100.0, value.0.0));
    }
    knots.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    Distribution::quantiles(&knots, None).map_err(refused)?;
    let Some(mean) = mean else { return Distribution::quantiles(&knots, None).map_err(refused) };
    let made = Distribution::quantiles(&knots, Some(mean.value.0.0));
    made.map_err(|message| Mistake::new(message).at(mean.at))
}

fn mixture(
    mix: &Located<Vec<Located<DistributionKeys>>>,
    folder: &Folder<'_>,
) -> Result<Distribution, Mistake> {
    /// A quantile of a mixture asks each part.
    const MOST: usize = 20;
    if mix.value.len() > MOST {
        let message = format!("found {} parts, expected at most {MOST}", mix.value.len());
        return Err(Mistake::new(message).at(mix.at));
    }
    let mut parts = Vec::with_capacity(mix.value.len());
    for part in &mix.value {
        if let Some(Located { at, value }) = part.value.mix.as_ref() {
            let message = format!("found a mix of {} in a mix, expected its parts", value.len());
            return Err(Mistake::new(message).at(*at));
        }
        let weight = part.value.weight.map_or(1.0, |weight| weight.value);
        if weight <= 0.0 {
            let at = part.value.weight.map_or(part.at, |weight| weight.at);
            return Err(Mistake::new(format!("found {weight}, expected a weight above 0")).at(at));
        }
        parts.push((weight, part.value.distribution(part.at, folder)?));
    }
    Distribution::mix(parts).map_err(|message| Mistake::new(message).at(mix.at))
}

fn preset(name: &Located<PresetName>) -> Result<Distribution, Mistake> {
    let all = presets::distributions();
    let found = all.iter().find(|preset| preset.name == name.value.0);
    found.map(|preset| preset.distribution.clone()).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|preset| &*preset.name).collect();
        Mistake::new(unknown("preset", &name.value.0, &names)).at(name.at)
    })
}

/// The largest file of measured values, in bytes. A worker that reads its scenario again does nothing else
/// meanwhile.
const LARGEST: u64 = 64 << 20;

fn measured(
    named: &Located<String>,
    column: &Located<String>,
    unit: Option<Unit>,
    folder: &Folder<'_>,
) -> Result<Distribution, Mistake> {
    let refused = |message: String| Mistake::new(message).at(named.at);
    let Some(folder) = folder.0 else {
        return Err(refused("found a file, expected none in a scenario that is not a file".into()));
    };
    let unit = unit.or_else(|| Unit::of(&column.value)).ok_or_else(|| {
        let message = format!(
            "found no unit of the column '{}', expected 'unit: ns', us, ms or s",
            column.value.escape_debug()
        );
        Mistake::new(message).at(column.at)
    })?;
    let path = folder.join(&named.value);
    let shown = path.display();
    let text = file::read(&path, LARGEST).map_err(|error| refused(error.to_string()))?;
    let mut reader = csv::Reader::from_reader(&*text);
    let headers = reader.headers().map_err(|error| refused(format!("{shown}: {error}")))?;
    let index = headers.iter().position(|name| name == column.value).ok_or_else(|| {
        let names: Vec<_> = headers.iter().take(50).collect();
        Mistake::new(format!("{shown}: {}", unknown("column", &column.value, &names))).at(column.at)
    })?;
    let mut values = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| refused(format!("{shown}: {error}")))? {
        // A call that was refused has no time.
        let Some(text) = record.get(index).map(str::trim).filter(|text| !text.is_empty()) else {
            continue;
        };
        let value = text.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0);
        let Some(value) = value else {
            let line = record.position().map_or(0, csv::Position::line);
            let message = format!(
                "{shown}:{line}: found '{}', expected a number of at least 0",
                text.escape_debug()
            );
            return Err(refused(message));
        };
        values.push(value * unit.nanoseconds());
    }
    Distribution::measured(values).map_err(|message| refused(format!("{shown}: {message}")))
}

impl Unit {
    /// The unit with which the name of a column ends.
    fn of(column: &str) -> Option<Self> {
        let (_, unit) = column.rsplit_once('_')?;
        [("ns", Self::Ns), ("us", Self::Us), ("ms", Self::Ms), ("s", Self::S)]
            .into_iter()
            .find_map(|(name, known)| (name == unit).then_some(known))
    }

    fn nanoseconds(self) -> f64 {
        match self {
            Self::Ns => 1.0,
            Self::Us => 1e3,
            Self::Ms => 1e6,
            Self::S => 1e9,
        }
    }
}
