use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use crate::{Error, Feature, Levels, ModelUri, Range, Result, Units, file};

/// What is said about a model besides its numbers.
///
/// It is said in three places, and the later one counts:
///
/// 1. in the model file, where its format has room for it (ONNX metadata under `hyperfake.NAME`,
///    safetensors metadata under `hyperfake.NAME`, fields of a JSON model);
/// 2. in a *sidecar*: a text file beside the model, called like it with `.settings` added
///    (`echo.onnx.settings`), of lines `name = value`; `#` begins a comment at the beginning of a
///    line or behind white space;
/// 3. in the parameters of the model's URI (`echo.onnx?response=echo`).
///
/// The names are those of [`Settings::NAMES`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings(BTreeMap<String, String>);

/// The most bytes that a sidecar may have.
const MAX_SIDECAR: u64 = 64 * 1024;

impl Settings {
    /// Every setting that there is.
    ///
    /// | name | value | meaning |
    /// |---|---|---|
    /// | `answers` | a path | a file that says what each gRPC method answers; not taken from inside the model |
    /// | `cold_start` | `250ms` | how long an instance takes to be ready |
    /// | `config` | a path | a plugin's configuration |
    /// | `cpu_unit` | `cores`, `millicores`, `percent` | of the model's CPU output |
    /// | `features` | `request_bytes,active_calls` | the model's inputs, in its order |
    /// | `quantiles` | `0.01,0.5,0.99` | the levels of an ONNX model whose outputs are quantiles |
    /// | `ram_unit` | `bytes`, `kB`, `KiB`, `MB`, `MiB`, `GB`, `GiB` | of its RAM output |
    /// | `response` | `echo`, `empty`, `random:N`, `text:…`, `hex:…`, `file:…` | the answers' data; a file is not taken from inside the model |
    /// | `runtime_unit` | `ns`, `us`, `ms`, `s` | of its run time output |
    /// | `trained_max` | `1e6,100,500` | the largest input it was trained on, for each feature |
    /// | `trained_min` | `0,1,0` | the smallest |
    pub const NAMES: [&str; 11] = [
        "answers",
        "cold_start",
        "config",
        "cpu_unit",
        "features",
        "quantiles",
        "ram_unit",
        "response",
        "runtime_unit",
        "trained_max",
        "trained_min",
    ];

    /// Puts together what the file, its sidecar and the URI say.
    ///
    /// # Errors
    ///
    /// When there is a sidecar that cannot be read, and when the model file itself says that the
    /// answers are those of another file: a model from a third party must not make the
    /// worker hand out this machine's files.
    pub fn read(uri: &ModelUri, from_file: BTreeMap<String, String>) -> Result<Self> {
        let mut settings = from_file;
        refuse_file(&settings)?;
        let mut sidecar = OsString::from(uri.path());
        sidecar.push(".settings");
        let sidecar = PathBuf::from(sidecar);
        if sidecar.exists() {
            let bytes = file::read(&sidecar, MAX_SIDECAR)?;
            let lines = parse_sidecar(&bytes).map_err(|error| error.at(sidecar.display()))?;
            settings.extend(lines);
        }
        settings.extend(uri.parameters().clone());
        Ok(Self(settings))
    }

    pub(crate) fn from_map(settings: BTreeMap<String, String>) -> Self {
        Self(settings)
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them.
    #[must_use]
    pub fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }

    /// The columns of a model that takes this many inputs: those that `features` names, or all
    /// five.
    ///
    /// # Errors
    ///
    /// When `features` names something else than that many different features, and when it is
    /// missing although the model does not take five.
    pub fn features(&self, inputs: usize) -> Result<Vec<Feature>> {
        match self.named_features()? {
            Some(named) if named.len() == inputs => Ok(named),
            Some(named) => {
                let text = self.get("features").unwrap_or_default();
                let message =
                    format!("names {} inputs ({text}), but the model takes {inputs}", named.len());
                Err(Error::invalid(message).at("features"))
            }
            None if inputs == Feature::ALL.len() => Ok(Feature::ALL.to_vec()),
            None => Err(Error::invalid(unnamed_inputs(inputs))),
        }
    }

    /// The columns that `features` names, if it is stated.
    ///
    /// # Errors
    ///
    /// When it names an unknown feature, or a feature twice.
    pub fn named_features(&self) -> Result<Option<Vec<Feature>>> {
        let Some(text) = self.get("features") else { return Ok(None) };
        let named: Vec<Feature> = text
            .split(',')
            .map(|name| name.trim().parse())
            .collect::<Result<_>>()
            .map_err(|error: Error| error.at("features"))?;
        if let Some(twice) = (1..named.len()).find(|&at| named[..at].contains(&named[at])) {
            let message = format!("'{}' is named twice", named[twice]);
            return Err(Error::invalid(message).at("features"));
        }
        Ok(Some(named))
    }

    /// The levels of a model whose outputs are quantiles, if they are stated.
    ///
    /// # Errors
    ///
    /// When they are no [`Levels`].
    pub fn levels(&self) -> Result<Option<Levels>> {
        self.get("quantiles").map(str::parse).transpose().map_err(|e: Error| e.at("quantiles"))
    }

    /// Refuses a setting that a backend has no use for, with the reason.
    ///
    /// # Errors
    ///
    /// `Invalid` when it is stated.
    pub fn refuse(&self, name: &str, reason: &str) -> Result<()> {
        self.get(name).map_or(Ok(()), |_| Err(Error::invalid(reason).at(name)))
    }

    /// The units of the file: those that are stated, and the backend's for the others.
    ///
    /// # Errors
    ///
    /// When a unit is not one of those in the table above.
    pub fn units(&self, by_default: Units) -> Result<Units> {
        let [runtime, cpu, ram] =
            ["runtime_unit", "cpu_unit", "ram_unit"].map(|name| self.get(name));
        by_default.with(runtime, cpu, ram)
    }

    /// The trained range of each input, if it is stated.
    ///
    /// # Errors
    ///
    /// When there is only one of `trained_min` and `trained_max`, or another number of values
    /// than there are inputs, or a minimum above its maximum.
    pub fn trained(&self, inputs: usize) -> Result<Option<Vec<Option<Range>>>> {
        let (min, max) = match (self.get("trained_min"), self.get("trained_max")) {
            (None, None) => return Ok(None),
            (Some(min), Some(max)) => (min, max),
            _ => {
                let message = "trained_min and trained_max are given together or not at all";
                return Err(Error::invalid(message));
            }
        };
        let (min, max) = (numbers("trained_min", min)?, numbers("trained_max", max)?);
        if min.len() != inputs || max.len() != inputs {
            let message = format!(
                "found {} and {} numbers, but the model takes {inputs} inputs",
                min.len(),
                max.len()
            );
            return Err(Error::invalid(message).at("trained_min, trained_max"));
        }
        let ranges = min.into_iter().zip(max).map(|(low, high)| {
            Range::new(low, high).map(Some).ok_or_else(|| {
                let message = format!("a minimum of {low} is above its maximum of {high}");
                Error::invalid(message).at("trained_min")
            })
        });
        ranges.collect::<Result<_>>().map(Some)
    }

    /// Refuses a name that is not in [`Settings::NAMES`].
    pub(crate) fn check_names<'a>(names: impl IntoIterator<Item = &'a String>) -> Result<()> {
        let unknown = names.into_iter().find(|name| !Self::NAMES.contains(&name.as_str()));
        unknown.map_or(Ok(()), |unknown| {
            let known = Self::NAMES.join(", ");
            Err(Error::invalid(format!("unknown setting '{unknown}'; there are {known}")))
        })
    }
}

fn refuse_file(from_file: &BTreeMap<String, String>) -> Result<()> {
    let names_file = |name| {
        let value = from_file.get(name)?;
        (name == "answers" || value.starts_with("file:")).then_some((name, value))
    };
    match ["answers", "response"].into_iter().find_map(names_file) {
        Some((name, value)) => {
            let message = format!(
                "found '{value}' inside the model, where no file can be named; name it in the \
                 model's .settings file or as in 'PATH?{name}={value}'"
            );
            Err(Error::invalid(message).at(name))
        }
        None => Ok(()),
    }
}

fn unnamed_inputs(inputs: usize) -> String {
    let all = Feature::ALL.map(Feature::name).join(",");
    let example: Vec<_> = match inputs {
        // What is left out most often: the running calls.
        4 => Feature::ALL.into_iter().filter(|feature| *feature != Feature::ActiveCalls).collect(),
        _ => Feature::ALL.into_iter().take(inputs).collect(),
    };
    let example = example.into_iter().map(Feature::name).collect::<Vec<_>>().join(",");
    match inputs {
        1..5 => format!(
            "the model takes {inputs} inputs, and nothing says which; name them in its order, as in \
             -m 'PATH?features={example}'"
        ),
        _ => format!("the model takes {inputs} inputs, expected 1 to 5 of {all}"),
    }
}

fn numbers(name: &str, text: &str) -> Result<Vec<f64>> {
    let parse = |word: &str| word.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    text.split(',')
        .map(|word| {
            parse(word).ok_or_else(|| {
                Error::invalid(format!("found '{word}', expected a number")).at(name)
            })
        })
        .collect()
}

fn parse_sidecar(bytes: &[u8]) -> Result<BTreeMap<String, String>> {
    let invalid = |line: usize, message: &str| Error::invalid(format!("line {line}: {message}"));
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::invalid("expected text in UTF-8").with_source(error))?;
    // Lines end as on Linux, on Windows, or as on an old Mac.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut settings = BTreeMap::new();
    for (index, line) in text.split('\n').enumerate() {
        let line = without_comment(line).trim();
        if line.is_empty() {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(invalid(index + 1, "expected name = value"));
        };
        let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
        Settings::check_names([&name]).map_err(|error| invalid(index + 1, &error.to_string()))?;
        if settings.insert(name, value).is_some() {
            return Err(invalid(index + 1, "the setting is given twice"));
        }
    }
    Ok(settings)
}

/// The line up to a `#` at its beginning or behind white space: any other belongs to a value.
fn without_comment(line: &str) -> &str {
    let begins = |at: &usize| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let comment = line.match_indices('#').map(|(at, _)| at).find(begins);
    &line[..comment.unwrap_or(line.len())]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn given(query: &str) -> Settings {
        let uri: ModelUri = format!("no-such-file.onnx?{query}").parse().unwrap();
        Settings::read(&uri, BTreeMap::new()).unwrap()
    }

    #[test]
    fn the_uri_overrides_the_sidecar_and_the_sidecar_overrides_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("a.onnx");
        let sidecar = folder.path().join("a.onnx.settings");
        std::fs::write(&sidecar, "# ours\nresponse = echo # always\ncold_start=1s\n\n").unwrap();
        let uri: ModelUri = format!("{}?cold_start=2s", model.display()).parse().unwrap();
        let file = [("response", "empty"), ("runtime_unit", "ms")];
        let file = file.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let settings = Settings::read(&uri, file).unwrap();
        assert_eq!(settings.get("response"), Some("echo"));
        assert_eq!(settings.get("cold_start"), Some("2s"));
        assert_eq!(settings.get("runtime_unit"), Some("ms"));
    }

    #[test]
    fn a_model_cannot_name_a_file_for_its_answers_but_its_user_can() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("a.onnx");
        let uri: ModelUri = format!("{}?response=file:/b", model.display()).parse().unwrap();
        assert_eq!(Settings::read(&uri, BTreeMap::new()).unwrap().get("response"), Some("file:/b"));
        std::fs::write(folder.path().join("a.onnx.settings"), "response = file:/a = b").unwrap();
        let uri = ModelUri::from_path(&model);
        let settings = Settings::read(&uri, BTreeMap::new()).unwrap();
        assert_eq!(settings.get("response"), Some("file:/a = b"));
        let inside = BTreeMap::from([("response".to_owned(), "file:/etc/passwd".to_owned())]);
        let error = Settings::read(&uri, inside).unwrap_err().to_string();
        assert!(error.contains("response: found 'file:/etc/passwd' inside the model"), "{error}");
        let inside = BTreeMap::from([("answers".to_owned(), "a.json".to_owned())]);
        let error = Settings::read(&uri, inside).unwrap_err().to_string();
        assert!(error.contains("answers: found 'a.json' inside the model"), "{error}");
    }

    #[test]
    fn a_bad_sidecar_is_an_error_with_its_name_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let uri = ModelUri::from_path(folder.path().join("a.onnx"));
        for (text, expected) in [
            ("\nresponse", "a.onnx.settings: line 2: expected name = value"),
            ("colour = red", "line 1: unknown setting 'colour'; there are answers, cold_start"),
            ("response=a\nresponse=b", "line 2: the setting is given twice"),
        ] {
            std::fs::write(folder.path().join("a.onnx.settings"), text).unwrap();
            let error = Settings::read(&uri, BTreeMap::new()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_sidecar_is_read_as_editors_of_all_systems_write_it() {
        for (text, config, response) in [
            ("config = a#1.json\nresponse = echo", "a#1.json", "echo"),
            ("config = a.json # the first\nresponse = echo#", "a.json", "echo#"),
            ("#config = b\n \t# response\nconfig=c\t#\nresponse=##", "c", "##"),
            ("\u{feff}config = d\nresponse = echo\n", "d", "echo"),
            ("\u{feff}# saved by an editor\r\nconfig = e\r\nresponse = echo\r\n", "e", "echo"),
            ("config = f\rresponse = echo", "f", "echo"),
        ] {
            let settings = parse_sidecar(text.as_bytes()).unwrap();
            let found = (settings["config"].as_str(), settings["response"].as_str());
            assert_eq!(found, (config, response), "{text:?}");
        }
        let utf_16 = b"\xff\xfec\0o\0n\0f\0i\0g\0=\0a\0";
        let error = parse_sidecar(utf_16).unwrap_err().to_string();
        assert!(error.starts_with("expected text in UTF-8"), "{error}");
    }

    #[test]
    fn a_model_with_four_inputs_needs_their_names_and_the_refusal_says_how() {
        let error = given("response=echo").features(4).unwrap_err().to_string();
        let hint = "?features=request_bytes,function_instances,worker_cpu_cores,worker_ram_bytes";
        assert!(error.contains(hint), "{error}");
        let settings = given("features=worker_ram_bytes,request_bytes");
        let expected = [Feature::WorkerRamBytes, Feature::RequestBytes];
        assert_eq!(settings.features(2).unwrap(), expected);
        assert_eq!(given("response=echo").features(5).unwrap(), Feature::ALL);
        for (query, inputs, expected) in [
            ("features=request_bytes,request_bytes", 2, "named twice"),
            ("features=request_bytes", 2, "names 1 inputs (request_bytes), but the model takes 2"),
            ("features=cpu", 1, "no feature is called 'cpu'"),
            ("response=echo", 7, "takes 7 inputs, expected 1 to 5"),
        ] {
            let error = given(query).features(inputs).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_trained_range_needs_both_bounds() {
        let ranges = given("trained_min=0,1&trained_max=10,100").trained(2).unwrap().unwrap();
        assert_eq!(ranges[1], Range::new(1.0, 100.0));
        assert_eq!(given("response=echo").trained(2).unwrap(), None);
        for query in [
            "trained_min=0,1",
            "trained_min=0&trained_max=1",
            "trained_min=0,5&trained_max=1,4",
            "trained_min=0,x&trained_max=1,4",
            "trained_min=0,NaN&trained_max=1,4",
        ] {
            assert!(given(query).trained(2).is_err(), "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_sidecar_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_sidecar(&bytes);
        }
    }
}
