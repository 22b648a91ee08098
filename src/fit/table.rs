use std::{fmt::Write as _, path::Path, time::Duration};

use hyperfake_predictor::{Error, Feature, Levels, Result};

use crate::whole_file;

/// A model file of the kind `quantiles`: how the numbers of a call are distributed, in each bin of up to
/// two features. `predictors/json/README.md` says what the fields mean.
///
/// ```
/// use hyperfake_worker::fit::{QuantileTable, Spread};
///
/// let mut table = QuantileTable::new(vec![0.01, 0.5, 0.99]);
/// table.runtime_ns = vec![vec![1e6, 2e6, 9e6]];
/// table.ram_bytes = Spread::Same(8e6);
/// assert!(table.to_json()?.contains(r#""runtime_ns": [[1000000, 2000000, 9000000]]"#));
/// # Ok::<(), hyperfake_predictor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct QuantileTable {
    /// What the model is of, in a line; empty for nothing.
    pub description: String,
    /// The image that it is for, if the file's name does not say that.
    pub image: Option<String>,
    /// What a call answers, as in `echo`.
    pub response: Option<String>,
    /// How long an instance takes to be ready.
    pub cold_start: Option<Duration>,
    /// The features that choose a bin: none, for a single bin, or up to two.
    pub features: Vec<Feature>,
    /// For each of these features the edges of its bins, ascending and 0 or more: one more than there are
    /// bins.
    pub edges: Vec<Vec<f64>>,
    /// The levels of the quantiles, ascending, from 0 to 1.
    pub levels: Vec<f64>,
    /// The run time in nanoseconds: for each bin a quantile for each level, positive and not
    /// decreasing. The bins of the last feature come one after the other.
    pub runtime_ns: Vec<Vec<f64>>,
    /// The CPU in cores.
    pub cpu_cores: Spread,
    /// The memory in bytes.
    pub ram_bytes: Spread,
}

/// How one number of a call is distributed.
#[derive(Debug, Clone, PartialEq)]
pub enum Spread {
    /// The same for each call.
    Same(f64),
    /// For each bin a quantile for each level, positive and not decreasing.
    Bins(Vec<Vec<f64>>),
}

impl QuantileTable {
    /// A table of one bin that says nothing yet of the run time, and that calls hold nothing.
    #[must_use]
    pub fn new(levels: Vec<f64>) -> Self {
        Self {
            description: String::new(),
            image: None,
            response: None,
            cold_start: None,
            features: Vec::new(),
            edges: Vec::new(),
            levels,
            runtime_ns: Vec::new(),
            cpu_cores: Spread::Same(0.0),
            ram_bytes: Spread::Same(0.0),
        }
    }

    /// How many bins there are.
    #[must_use]
    pub fn bins(&self) -> usize {
        self.edges.iter().map(|edges| edges.len().saturating_sub(1)).product()
    }

    /// The text of the file: numbers have seven digits that count.
    ///
    /// # Errors
    ///
    /// `Invalid` when it would not be a model: the error names the field.
    pub fn to_json(&self) -> Result<String> {
        self.check()?;
        let mut text = "{\n  \"kind\": \"quantiles\",\n".to_owned();
        let named = [
            ("description", Some(&self.description).filter(|text| !text.is_empty()).cloned()),
            ("image", self.image.clone()),
            ("response", self.response.clone()),
            ("cold_start", self.cold_start.map(|time| format!("{}us", time.as_micros()))),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                let value = serde_json::Value::from(value);
                // Writing to a string cannot fail.
                let _ = writeln!(text, "  \"{name}\": {value},");
            }
        }
        if !self.features.is_empty() {
            let names: Vec<_> = self.features.iter().map(|one| format!("\"{one}\"")).collect();
            let _ = writeln!(text, "  \"features\": [{}],", names.join(", "));
            let edges: Vec<_> = self.edges.iter().map(|edges| list(edges, |edge| edge)).collect();
            let _ = writeln!(text, "  \"bins\": [{}],", edges.join(", "));
        }
        let _ = write!(text, "  \"levels\": {}", list(&self.levels, |level| level));
        let runtime = Spread::Bins(self.runtime_ns.clone());
        for (name, spread) in [
            ("runtime_ns", &runtime),
            ("cpu_cores", &self.cpu_cores),
            ("ram_bytes", &self.ram_bytes),
        ] {
            let _ = write!(text, ",\n  \"{name}\": ");
            match spread {
                Spread::Same(number) => text += &rounded(*number).to_string(),
                Spread::Bins(bins) => {
                    let bins: Vec<_> = bins.iter().map(|bin| list(bin, rounded)).collect();
                    let separator = if bins.len() > 1 { ",\n    " } else { "" };
                    let (open, close) = if bins.len() > 1 { ("\n    ", "\n  ") } else { ("", "") };
                    let _ = write!(text, "[{open}{}{close}]", bins.join(separator));
                }
            }
        }
        text += "\n}\n";
        Ok(text)
    }

    /// Writes the file; one of this name is replaced as a whole.
    ///
    /// # Errors
    ///
    /// Those of [`QuantileTable::to_json`], and `Unavailable` when the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = self.to_json().map_err(|error| error.at(path.display()))?;
        whole_file::write_bytes(path, text.as_bytes())
    }

    fn check(&self) -> Result<()> {
        let wrong = |field: &str, message: String| Err(Error::invalid(message).at(field));
        Levels::new(self.levels.clone()).map_err(|error| error.at("levels"))?;
        if self.features.len() > 2 || self.features.len() != self.edges.len() {
            let (features, edges) = (self.features.len(), self.edges.len());
            let message = format!(
                "found {features} features and {edges} lists of edges, expected as many of both, at \
                 most 2"
            );
            return wrong("bins", message);
        }
        for edges in &self.edges {
            let ascends = edges.array_windows().all(|[before, after]| before < after);
            if edges.len() < 2 || !ascends || edges[0] < 0.0 || !edges.iter().all(|e| e.is_finite())
            {
                return wrong("bins", "expected two or more ascending edges from 0 on".to_owned());
            }
        }
        let spreads = [
            ("runtime_ns", Some(&self.runtime_ns)),
            ("cpu_cores", bins(&self.cpu_cores)),
            ("ram_bytes", bins(&self.ram_bytes)),
        ];
        for (name, lists) in spreads {
            let Some(lists) = lists else { continue };
            if lists.len() != self.bins() {
                let message =
                    format!("found {} lists of quantiles, expected {}", lists.len(), self.bins());
                return wrong(name, message);
            }
            for list in lists {
                let ascends = list.array_windows().all(|[before, after]| before <= after);
                let count = self.levels.len();
                if list.len() != count || !ascends || !list.iter().all(|q| *q > 0.0 && *q <= 1e100)
                {
                    let message =
                        format!("expected {count} positive quantiles that do not decrease");
                    return wrong(name, message);
                }
            }
        }
        for (name, spread) in [("cpu_cores", &self.cpu_cores), ("ram_bytes", &self.ram_bytes)] {
            if let Spread::Same(number) = spread
                && !(*number >= 0.0 && number.is_finite())
            {
                return wrong(name, format!("found {number}, expected 0 or more"));
            }
        }
        Ok(())
    }
}

fn bins(spread: &Spread) -> Option<&Vec<Vec<f64>>> {
    match spread {
        Spread::Same(_) => None,
        Spread::Bins(bins) => Some(bins),
    }
}

fn list(numbers: &[f64], digits: impl Fn(f64) -> f64) -> String {
    let numbers: Vec<_> = numbers.iter().map(|number| digits(*number).to_string()).collect();
    format!("[{}]", numbers.join(", "))
}

/// With seven digits that count: more would say more than measurements know.
fn rounded(number: f64) -> f64 {
    // Through text, which rounds correctly and always to the same number.
    format!("{number:.6e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use hyperfake_predictor::{Backend, Features, ModelUri, Range, Uniforms};
    use hyperfake_predictor_json::JsonBackend;

    use super::*;

    fn table() -> QuantileTable {
        QuantileTable {
            description: "a \"test\"".into(),
            image: Some("echo:latest".into()),
            response: Some("echo".into()),
            cold_start: Some(Duration::from_micros(1500)),
            features: vec![Feature::ActiveCalls, Feature::RequestBytes],
            edges: vec![vec![0.0, 2.5, 9.0], vec![100.0, 4e6]],
            runtime_ns: vec![vec![1e6, 2e6, 3.000_000_04e6], vec![2e6, 4e6, 8e6]],
            cpu_cores: Spread::Bins(vec![vec![1e-6, 0.5, 0.5], vec![0.1, 0.6, 1.0]]),
            ram_bytes: Spread::Same(123_456_789.0),
            ..QuantileTable::new(vec![0.01, 0.5, 0.999])
        }
    }

    #[test]
    fn what_was_written_is_what_the_backend_draws() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        table().write(&path).unwrap();
        let model = JsonBackend.open(&ModelUri::from_path(&path)).unwrap();
        let info = model.info();
        assert_eq!(info.inputs, [Feature::ActiveCalls, Feature::RequestBytes]);
        assert_eq!(info.trained[0], Range::new(0.0, 9.0));
        assert_eq!(info.settings["cold_start"], "1500us");
        let mut session = model.session().unwrap();
        for (active_calls, level, expected) in [
            (0.0, 0.01, [1e6, 1e-6, 123_456_800.0]),
            (2.0, 0.999, [3e6, 0.5, 123_456_800.0]),
            (2.5, 0.5, [4e6, 0.6, 123_456_800.0]),
            (100.0, 0.999, [8e6, 1.0, 123_456_800.0]),
        ] {
            let features = Features { active_calls, ..Features::IDLE };
            let drawn = session.draw(&features, &Uniforms::same(level)).unwrap().to_array();
            assert_eq!(drawn, expected, "{active_calls} {level}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_would_be_no_model_is_refused_with_its_field() {
        let refusal = |change: fn(&mut QuantileTable)| {
            let mut table = table();
            change(&mut table);
            table.to_json().unwrap_err().to_string()
        };
        for (change, expected) in [
            ((|t| t.levels = vec![0.5]) as fn(&mut QuantileTable), "levels: found 1 levels"),
            (|t| t.edges[0][1] = 0.0, "bins: expected two or more ascending edges"),
            (|t| t.edges.truncate(1), "bins: found 2 features and 1 lists of edges"),
            (|t| t.runtime_ns.truncate(1), "runtime_ns: found 1 lists of quantiles, expected 2"),
            (|t| t.runtime_ns[1][2] = 0.0, "runtime_ns: expected 3 positive quantiles"),
            (|t| t.ram_bytes = Spread::Same(-1.0), "ram_bytes: found -1, expected 0 or more"),
        ] {
            let refusal = refusal(change);
            assert!(refusal.starts_with(expected), "{refusal}");
        }
        let missing = table().write(Path::new("there/is/none.json")).unwrap_err().to_string();
        assert!(missing.starts_with("there/is/none.json: cannot write the file"), "{missing}");
    }
}
