//! `hyperfake scenario`: checks scenario files, and shows what they state and which presets there are.

use hyperfake_predictor::Result;

use super::Output;
use crate::{
    args::{ScenarioArgs, ScenarioCommand},
    report::{PresetList, ScenarioReport},
    scenario::{self, Source},
};

/// Does what was asked.
///
/// # Errors
///
/// When a scenario cannot be read; the error names the line and the column.
pub fn run(args: ScenarioArgs) -> Result<Output> {
    let text = match args.command {
        ScenarioCommand::Check { scenario } => {
            let source = Source::from(&*scenario);
            let read = source.scenario()?;
            ScenarioReport { name: source.to_string(), rows: read.summary() }.text()
        }
        ScenarioCommand::Print { scenario, source: false } => {
            format!("{:#}", Source::from(&*scenario).effective()?)
        }
        ScenarioCommand::Print { scenario, source: true } => {
            Source::from(&*scenario).text()?.trim_end().to_owned()
        }
        ScenarioCommand::Schema => format!("{:#}", scenario::schema()),
        ScenarioCommand::Presets { json } => {
            let list =
                PresetList { scenarios: &scenario::SCENARIOS, times: scenario::distributions() };
            if json { list.json() } else { list.text() }
        }
    };
    Ok(Output::success(text))
}
