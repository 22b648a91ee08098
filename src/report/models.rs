use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use hyperfake_predictor::{Features, Limits, Predictor};
use serde_json::json;

use super::format;

/// Models and the images that they are served for.
#[derive(Debug, Default)]
pub(crate) struct ModelList(Vec<Row>);

#[derive(Debug)]
struct Row {
    image: String,
    file: String,
    backend: &'static str,
    units: String,
    /// What it predicts for an idle worker, or why it does not.
    idle: Result<String, String>,
    json: serde_json::Value,
}

impl ModelList {
    /// A list of these images and their models, whose predictions are brought within the limits.
    pub(crate) fn new<'a>(
        models: impl IntoIterator<Item = (String, &'a dyn Predictor)>,
        limits: &Limits,
    ) -> Self {
        Self(models.into_iter().map(|(image, model)| Row::new(image, model, limits)).collect())
    }

    pub(crate) fn json(&self) -> String {
        format!("{:#}", json!(self.0.iter().map(|row| &row.json).collect::<Vec<_>>()))
    }

    /// For a person: one line for each model, with what it predicts for an idle worker.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY);
        table.set_header([
            "image",
            "file",
            "backend",
            "units in the file",
            "a call to an idle instance",
        ]);
        for row in &self.0 {
            let (Ok(idle) | Err(idle)) = &row.idle;
            table.add_row([&row.image, &row.file, row.backend, &row.units, idle]);
        }
        table
    }
}

impl Row {
    fn new(image: String, model: &dyn Predictor, limits: &Limits) -> Self {
        let info = model.info();
        let idle = model
            .session()
            .and_then(|mut session| session.predict(&Features::IDLE))
            .map(|raw| format::prediction(&limits.check(raw).prediction))
            .map(|idle| match info.knows_distributions {
                true => format!("drawn, with the mean {idle}"),
                false => idle,
            })
            .map_err(|error| error.to_string());
        let inputs: Vec<_> = info.inputs.iter().map(|input| input.name()).collect();
        let (file, units) = (info.path.display().to_string(), info.units.to_string());
        let json = json!({
            "image": image,
            "file": file,
            "backend": info.backend,
            "inputs": inputs,
            "units": units,
            "knows_distributions": info.knows_distributions,
            "settings": info.settings,
            "idle": idle.as_ref().ok(),
        });
        Self { image, file, backend: info.backend, units, idle, json }
    }
}
