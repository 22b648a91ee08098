use std::time::Duration;

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde_json::json;

use super::format;
use crate::scenario::{Preset, ScenarioPreset};

/// What a scenario states.
#[derive(Debug)]
pub(crate) struct ScenarioReport {
    pub(crate) name: String,
    /// What each row is about, and what is stated of it.
    pub(crate) rows: Vec<(String, String)>,
}

impl ScenarioReport {
    pub(crate) fn text(&self) -> String {
        let first = ("scenario".to_owned(), format!("{}: nothing is wrong", self.name));
        let rows: Vec<_> = [first].iter().chain(&self.rows).cloned().collect();
        let width = rows.iter().map(|(about, _)| about.chars().count()).max().unwrap_or(0);
        let line = |(about, stated): &(String, String)| {
            format!("{:width$}  {}", format::foreign(about), format::foreign(stated))
        };
        rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// The presets of this program.
#[derive(Debug)]
pub(crate) struct PresetList<'a> {
    pub(crate) scenarios: &'a [ScenarioPreset],
    pub(crate) times: &'a [Preset],
}

impl PresetList<'_> {
    pub(crate) fn json(&self) -> String {
        let scenarios = self
            .scenarios
            .iter()
            .map(|preset| json!({ "name": preset.name, "about": preset.about }));
        let scenarios: Vec<_> = scenarios.collect();
        let times = self.times.iter().map(|preset| {
            let at = |u| preset.distribution.at(u).as_secs_f64();
            json!({
                "name": preset.name,
                "about": preset.about,
                "p50_seconds": at(0.5),
                "p90_seconds": at(0.9),
                "p99_seconds": at(0.99),
                "mean_seconds": mean(preset).as_secs_f64(),
                "samples": preset.samples,
                "source": preset.source,
                "licence": preset.licence,
            })
        });
        let times: Vec<_> = times.collect();
        format!("{:#}", json!({ "scenarios": scenarios, "cold_starts": times }))
    }

    /// For a person: the scenarios, and the distributions by source.
    pub(crate) fn text(&self) -> String {
        let mut scenarios = Table::new();
        scenarios.load_style(UTF8_BORDERS_ONLY);
        scenarios.set_header(["scenario", "what it is"]);
        for preset in self.scenarios {
            scenarios.add_row([preset.name, preset.about]);
        }
        let mut times = Table::new();
        times.load_style(UTF8_BORDERS_ONLY);
        times.set_header(["cold start", "p50", "p90", "p99", "mean", "samples", "what it is"]);
        for preset in self.times {
            let at = |u| format::duration(preset.distribution.at(u));
            times.add_row([
                &preset.name,
                &at(0.5),
                &at(0.9),
                &at(0.99),
                &format::duration(mean(preset)),
                &preset.samples,
                &preset.about,
            ]);
        }
        let mut text = format!("{scenarios}\n{times}");
        let mut shown = "";
        for preset in self.times {
            if preset.source != shown {
                shown = &preset.source;
                text +=
                    &format!("\n{} and those below it: {shown}; {}", preset.name, preset.licence);
            }
        }
        text
    }
}

fn mean(preset: &Preset) -> Duration {
    Duration::try_from_secs_f64(preset.distribution.mean() / 1e9).unwrap_or(Duration::MAX)
}
