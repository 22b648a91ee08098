use std::{
    fmt,
    path::{Path, PathBuf},
};

use hyperfake_predictor::{Error, ErrorKind, Result, file};

use super::{
    Scenario,
    document::{self, Document, Folder, Mistake, compile},
    presets::SCENARIOS,
};

/// The largest scenario file, in bytes.
const LARGEST: u64 = 1 << 20;

/// Where a scenario is stated: a preset of this program, or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A preset, by its name and its text.
    Preset(&'static str, &'static str),
    /// A file.
    File(PathBuf),
}

impl From<&Path> for Source {
    /// The name of a preset is that preset; a file of the same name is `./chaos`.
    fn from(named: &Path) -> Self {
        let preset = SCENARIOS.iter().find(|preset| Path::new(preset.name) == named);
        match preset {
            Some(preset) => Self::Preset(preset.name, preset.text),
            None => Self::File(named.to_owned()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preset(name, _) => f.write_str(name),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Source {
    /// The scenario.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is neither such a file nor a preset, and `Invalid` with the line and the column
    /// of what is wrong in it.
    pub fn scenario(&self) -> Result<Scenario> {
        let text = self.text()?;
        let scenario = self.read(&text, compile)?;
        Ok(Scenario { text: Some(text.into()), ..scenario })
    }

    /// The scenario in full, as JSON, which is a scenario file too: each pattern with all that counts for
    /// it of `defaults`, and published distributions as numbers.
    ///
    /// # Errors
    ///
    /// Those of [`Source::scenario`].
    pub fn effective(&self) -> Result<serde_json::Value> {
        self.read(&self.text()?, |document, folder| {
            compile(document, folder)?;
            serde_json::to_value(document.clone().effective())
                .map_err(|error| Mistake::new(error.to_string()))
        })
    }

    /// Its file as it is written.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn text(&self) -> Result<String> {
        match self {
            Self::Preset(_, text) => Ok((*text).to_owned()),
            Self::File(path) => read(path),
        }
    }

    fn read<T>(
        &self,
        text: &str,
        make: impl FnOnce(&Document, &Folder<'_>) -> Result<T, Mistake>,
    ) -> Result<T> {
        let folder = match self {
            Self::Preset(..) => None,
            Self::File(path) => Some(path.parent().unwrap_or(Path::new(""))),
        };
        document::read(text)
            .and_then(|document| make(&document, &Folder(folder)))
            .map_err(|mistake| error(&mistake, Some(self)))
    }
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    ///
    /// When there is none, it is too large, or something in it is wrong: then the error names the line and
    /// the column.
    pub fn read(path: &Path) -> Result<Self> {
        Source::File(path.to_owned()).scenario()
    }

    /// Reads a scenario from text, which can name no other file.
    ///
    /// # Errors
    ///
    /// When something in it is wrong; the error names the line and the column.
    pub fn parse(text: &str) -> Result<Self> {
        let read = document::read(text).and_then(|document| compile(&document, &Folder(None)));
        let scenario = read.map_err(|mistake| error(&mistake, None))?;
        Ok(Self { text: Some(text.into()), ..scenario })
    }
}

/// What is wrong, in which file and where.
fn error(mistake: &Mistake, file: Option<&Source>) -> Error {
    let error = Error::invalid(mistake.message());
    match file {
        Some(file) => error.at(format!("{file}:{}", mistake.position())),
        None => error.at(mistake.position()),
    }
}

fn read(path: &Path) -> Result<String> {
    let text = file::read(path, LARGEST).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            let names = SCENARIOS.map(|preset| preset.name).join(", ");
            let message = format!("there is no such file, and the presets are {names}");
            Error::not_found(message).at(path.display())
        }
        _ => error,
    })?;
    String::from_utf8(text).map_err(|error| {
        let before = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let message = "found a byte that is not UTF-8, expected text";
        Error::invalid(message).at(format!("{}:{line}:{column}", path.display()))
    })
}
