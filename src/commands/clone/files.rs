use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use hyperfake_predictor::{Error, Result};
use serde_json::json;

use super::super::measure::write;
use crate::{
    record::{Destination, Format, Row, RowFile},
    whole_file,
};

/// The files of a clone, in one folder.
#[derive(Debug)]
pub(super) struct Files {
    name: String,
    folder: PathBuf,
    /// The model, without the extension of its kind.
    pub(super) model: PathBuf,
    pub(super) scenario: PathBuf,
    cold_starts: PathBuf,
    /// What the model learned from.
    pub(super) measured: PathBuf,
    /// What was held back, of the real function, of it again, and of the fake.
    pub(super) real: PathBuf,
    pub(super) again: PathBuf,
    pub(super) fake: PathBuf,
    pub(super) page: PathBuf,
    pub(super) comparison: PathBuf,
}

impl Files {
    /// Makes the folder.
    pub(super) fn new(folder: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| {
            Error::unavailable("cannot make the folder").with_source(error).at(folder.display())
        })?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        let file = |name: &str| folder.join(name);
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            model: file(&plain),
            // YAML has JSON in it.
            scenario: file("scenario.yaml"),
            cold_starts: file("cold-starts.csv"),
            measured: file("measured.csv"),
            real: file("real.csv"),
            again: file("real-again.csv"),
            fake: file("fake.csv"),
            page: file("report.html"),
            comparison: file("comparison.json"),
        })
    }

    /// Removes the models of an earlier clone: this one's may be of the other kind.
    pub(super) fn remove_models(&self) -> Result<()> {
        for kind in ["json", "onnx"] {
            for part in ["", ".settings", ".report", ".report.md"] {
                let mut path = self.model.clone().into_os_string();
                path.push(format!(".{kind}{part}"));
                self.remove(Path::new(&path))?;
            }
        }
        Ok(())
    }

    /// Where the fake's worker writes all that it does.
    pub(super) fn worker(&self) -> PathBuf {
        self.folder.join("worker.csv")
    }

    /// Writes a record anew.
    pub(super) fn record(&self, path: &Path, rows: &[Row<'static>]) -> Result<()> {
        self.remove(path)?;
        let file = RowFile::open(Destination::new(path, Format::Own)?)?;
        write(file, rows.iter())
    }

    /// How instances of the fake start, and how many calls each takes at once.
    pub(super) fn scenario(&self, cold: &[Duration], concurrency: Option<u32>) -> Result<()> {
        let mut function = serde_json::Map::new();
        if !cold.is_empty() {
            let lines: Vec<_> = cold.iter().map(|time| time.as_nanos().to_string()).collect();
            let text = format!("cold_start_ns\n{}\n", lines.join("\n"));
            self.write(&self.cold_starts, &text)?;
            let file = self.cold_starts.file_name().unwrap_or_default().to_string_lossy();
            function.insert("cold_start".into(), json!({"file": file, "column": "cold_start_ns"}));
        }
        if let Some(concurrency) = concurrency {
            function.insert("concurrency".into(), concurrency.into());
            function.insert("queue".into(), json!({"depth": 10_000}));
        }
        let functions: serde_json::Map<_, _> =
            [(self.name.clone(), function.into())].into_iter().collect();
        let scenario = json!({"version": 1, "functions": functions});
        self.write(&self.scenario, &format!("{scenario:#}\n"))
    }

    pub(super) fn write(&self, path: &Path, text: &str) -> Result<()> {
        whole_file::write_bytes(path, text.as_bytes()).map_err(|error| error.at("--out"))
    }

    pub(super) fn remove(&self, path: &Path) -> Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(unwritten(path, error))
            }
            _ => Ok(()),
        }
    }

    /// What serves the fake, for a shell.
    pub(super) fn serve_line(&self, model: &Path) -> String {
        let [model, name, scenario] =
            [model.to_string_lossy(), (&*self.name).into(), self.scenario.to_string_lossy()]
                .map(|word| quoted(&word));
        format!("hyperfake server -m {model} {name} --scenario {scenario}")
    }
}

fn unwritten(path: &Path, error: std::io::Error) -> Error {
    Error::unavailable("cannot write the file").with_source(error).at(path.display()).at("--out")
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "./_-:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    #[test]
    fn the_line_that_serves_a_fake_can_be_typed() {
        assert_eq!(quoted("a/b-c.json"), "a/b-c.json");
        assert_eq!(quoted("a b's"), r"'a b'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn what_an_earlier_clone_of_the_other_kind_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let left = ["a.onnx", "a.onnx.settings", "a.json", "a.json.report", "a.json.report.md"];
        for name in left.into_iter().chain(["a.json.mine", "b.onnx", "real.csv"]) {
            fs::write(folder.path().join(name), "").unwrap();
        }
        Files::new(folder.path(), "a").unwrap().remove_models().unwrap();
        let found = fs::read_dir(folder.path()).unwrap();
        let mut found: Vec<_> = found.map(|file| file.unwrap().file_name()).collect();
        found.sort();
        assert_eq!(found, ["a.json.mine", "b.onnx", "real.csv"]);
    }

    #[test]
    fn the_scenario_of_a_fake_is_one_and_has_its_cold_starts() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), "a:1").unwrap();
        let cold = [10, 30].map(Duration::from_millis);
        for (cold, concurrency) in [(&cold[..], Some(3)), (&cold[..], None), (&[][..], None)] {
            files.scenario(cold, concurrency).unwrap();
            scenario::Source::File(files.scenario.clone()).scenario().unwrap();
        }
    }
}
