//! What is published about real platforms, as files of this program.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Distribution,
    document::{self, DistributionKeys, DistributionSection, Folder, Located, Mistake, Patterns},
};

/// A published distribution.
#[derive(Debug, Clone)]
pub struct Preset {
    /// Its name in `{preset: NAME}`.
    pub name: String,
    /// What it is a distribution of.
    pub about: String,
    /// Where it was published.
    pub source: String,
    /// The number of measurements.
    pub samples: String,
    /// The licence of the source.
    pub licence: String,
    /// The distribution.
    pub distribution: Distribution,
    /// The same as keys of a scenario.
    pub(super) keys: DistributionKeys,
}

/// A scenario that can be named instead of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScenarioPreset {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its file.
    pub text: &'static str,
}

/// The scenarios that can be named instead of a file.
pub const SCENARIOS: [ScenarioPreset; 3] = [
    ScenarioPreset {
        name: "plain",
        about: "everything happens as predicted, as without a scenario",
        text: include_str!("presets/plain.yaml"),
    },
    ScenarioPreset {
        name: "realistic",
        about: "how functions vary on a platform that works",
        text: include_str!("presets/realistic.yaml"),
    },
    ScenarioPreset {
        name: "chaos",
        about: "a bad day: the same with faults of every kind",
        text: include_str!("presets/chaos.yaml"),
    },
];

const FILES: [&str; 4] = [
    include_str!("presets/docker.yaml"),
    include_str!("presets/sandboxes.yaml"),
    include_str!("presets/lambda.yaml"),
    include_str!("presets/huawei.yaml"),
];

/// Published distributions of one source.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PresetFile {
    source: String,
    licence: String,
    #[serde(default)]
    samples: Option<String>,
    presets: Patterns<PresetSection>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PresetSection {
    about: String,
    #[serde(default)]
    samples: Option<String>,
    time: Located<DistributionSection>,
}

/// The published distributions, in the order of their files.
#[must_use]
pub fn distributions() -> &'static [Preset] {
    static ALL: LazyLock<Vec<Preset>> = LazyLock::new(|| {
        // A test reads them all.
        FILES.iter().flat_map(|text| read(text).unwrap_or_default()).collect()
    });
    &ALL
}

fn read(text: &str) -> Result<Vec<Preset>, Mistake> {
    let file: PresetFile = document::section(text)?;
    let presets = file.presets.0.into_iter().map(|(name, section)| {
        let stated = section.samples.or_else(|| file.samples.clone());
        let samples = stated.ok_or_else(|| Mistake::new("found no 'samples'").at(name.at))?;
        let distribution = document::distribution(&section.time, &Folder(None))?;
        let DistributionSection::Keys(keys) = section.time.value else {
            return Err(Mistake::new("expected keys").at(section.time.at));
        };
        Ok(Preset {
            name: name.value,
            about: section.about,
            source: file.source.clone(),
            samples,
            licence: file.licence.clone(),
            distribution,
            keys,
        })
    });
    presets.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::scenario::{Purpose, Scenario, Seed};

    #[test]
    fn every_preset_is_read_and_has_a_name_of_its_own() {
        let mut names = HashSet::new();
        for text in FILES {
            for preset in read(text).unwrap() {
                assert!(names.insert(preset.name.clone()), "{}", preset.name);
            }
        }
        assert_eq!(names.len(), distributions().len());
        for preset in SCENARIOS {
            Scenario::parse(preset.text).unwrap_or_else(|error| panic!("{}: {error}", preset.name));
        }
    }

    /// What a file states of the source is drawn.
    #[test]
    fn draws_have_the_percentiles_of_the_source() {
        const DRAWS: usize = 100_000;
        let draws = Seed::new(14).worker(0).function("f");
        for preset in distributions() {
            let mut drawn: Vec<_> = (0..DRAWS as u64)
                .map(|number| preset.distribution.draw(draws, number, Purpose::ColdStart))
                .collect();
            drawn.sort_unstable();
            let mut checked = 0;
            for (percent, stated) in preset.keys.percentiles() {
                if ![50.0, 90.0, 99.0].contains(&percent) {
                    continue;
                }
                let found = drawn[(percent / 100.0 * DRAWS as f64) as usize].as_secs_f64();
                let off = found / stated.as_secs_f64() - 1.0;
                assert!(off.abs() < 0.03, "{}: p{percent} is {found} s, {stated:?}", preset.name);
                checked += 1;
            }
            assert!(checked >= 2, "{}", preset.name);
        }
    }
}
