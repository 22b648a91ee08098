use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use hyperfake_predictor::{Error, Result};

use super::{FeatureRange, Kind, QuantileTable, Report};
use crate::whole_file::write_bytes;

/// A model that was fitted, not yet in a file.
#[derive(Debug, Clone)]
pub struct Fitted {
    pub(super) model: Model,
    pub(super) report: Report,
}

#[derive(Debug, Clone)]
pub(super) enum Model {
    Table(Box<QuantileTable>),
    /// The bytes of an ONNX file.
    Network(Vec<u8>),
}

impl Model {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Table(_) => Kind::Table,
            Self::Network(_) => Kind::Network,
        }
    }
}

/// The files that were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The model.
    pub model: PathBuf,
    /// Its sidecar.
    pub settings: PathBuf,
    /// The report, in JSON.
    pub report: PathBuf,
    /// The report for people, in Markdown.
    pub page: PathBuf,
}

impl Fitted {
    /// What kind of model it is: a table or a network.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.model.kind()
    }

    /// How it came to be, and how good it is.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The bytes of the model's file.
    ///
    /// # Errors
    ///
    /// `Invalid` for a table that would be no model.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        match &self.model {
            Model::Table(table) => table.to_json().map(String::into_bytes),
            Model::Network(bytes) => Ok(bytes.clone()),
        }
    }

    /// Writes the model, and beside it a sidecar (`.settings`) and the report (`.report`, which is JSON, and
    /// `.report.md`). A name without an extension of a model gets the one of its kind.
    ///
    /// # Errors
    ///
    /// `Invalid` when the name's extension is that of another kind, `Unavailable` when a file cannot be
    /// written.
    pub fn write(&self, path: &Path) -> Result<Written> {
        let model = self.path(path)?;
        let beside = |ending: &str| {
            let mut name = OsString::from(&model);
            name.push(ending);
            PathBuf::from(name)
        };
        let written = Written {
            settings: beside(".settings"),
            report: beside(".report"),
            page: beside(".report.md"),
            model,
        };
        write_bytes(&written.model, &self.bytes()?)?;
        write_bytes(&written.settings, self.settings().as_bytes())?;
        let report = self.report.json()?;
        write_bytes(&written.report, report.as_bytes())?;
        write_bytes(&written.page, self.report.markdown().as_bytes())?;
        Ok(written)
    }

    fn path(&self, path: &Path) -> Result<PathBuf> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let of = |kind: Kind| kind.extension();
        let is = |kind: Kind| {
            extension
                .is_some_and(|found| of(kind).is_some_and(|one| one.eq_ignore_ascii_case(found)))
        };
        if is(self.kind()) {
            return Ok(path.to_owned());
        }
        if [Kind::Table, Kind::Network].into_iter().any(is) {
            let message = format!("a {} is not written to a file of this name", self.kind());
            return Err(Error::invalid(message).at(path.display()));
        }
        let mut name = OsString::from(path);
        name.push(format!(".{}", of(self.kind()).unwrap_or_default()));
        Ok(name.into())
    }

    /// The sidecar: what a server reads of it, and in comments where the model came from.
    fn settings(&self) -> String {
        let report = &self.report;
        let mut text = format!(
            "# Written by 'hyperfake fit' {}: a {} of {} calls, seed {}.\n# SHA-256 of the calls: {}\n",
            report.version, report.kind, report.calls, report.seed, report.sha256
        );
        if let Some(best) = report.candidates.iter().find(|candidate| candidate.chosen) {
            text += &format!(
                "# Error on calls that were held back, over that without features: {:.3} +- {:.3}\n",
                best.score, best.error
            );
        }
        let used: Vec<_> = report.features.iter().filter(|feature| feature.used).collect();
        // A table without features takes all five, and depends on none.
        if !used.is_empty() {
            let ordered = match &self.model {
                Model::Network(_) => used,
                Model::Table(table) => {
                    let named = |name: &str| used.iter().find(|one| one.feature == name).copied();
                    table.features.iter().filter_map(|one| named(one.name())).collect()
                }
            };
            let list = |number: fn(&FeatureRange) -> f64| {
                let numbers: Vec<_> = ordered.iter().map(|one| number(one).to_string()).collect();
                numbers.join(",")
            };
            text += &format!("trained_min = {}\n", list(|one| one.least));
            text += &format!("trained_max = {}\n", list(|one| one.greatest));
        }
        text
    }
}
