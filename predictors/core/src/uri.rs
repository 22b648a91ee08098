use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::Error;

/// Names a model: a path, perhaps with a backend before it, parameters and a name behind it.
///
/// `[scheme:]path[?key=value[&key=value…]][#name]`
///
/// - The scheme chooses a backend; without one the file's extension does. A scheme is two or
///   more lower-case letters, digits or `-`, so that `C:\echo.onnx` is a path. Behind the scheme
///   `file` everything is the path, with any characters, and the extension chooses.
/// - The parameters override what the file says of itself. In a value, `%26` is `&`, `%23` is `#`
///   and `%25` is `%`, as any byte can be written (RFC 3986, section 2.1); a `%` without two
///   hexadecimal digits behind it is taken as it is.
/// - The name picks one model of a file that holds several.
///
/// An existing file takes precedence over every other reading: of `a?b.onnx#c`, the longest beginning that
/// is the path of a file is the path.
///
/// ```
/// use hyperfake_predictor::ModelUri;
///
/// let uri: ModelUri = "tract:models/echo.onnx?response=echo".parse()?;
/// assert_eq!(uri.scheme(), Some("tract"));
/// assert_eq!(uri.path().to_str(), Some("models/echo.onnx"));
/// assert_eq!(uri.parameters()["response"], "echo");
/// # Ok::<(), hyperfake_predictor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelUri {
    scheme: Option<String>,
    path: PathBuf,
    parameters: BTreeMap<String, String>,
    name: Option<String>,
}

impl ModelUri {
    /// A file, taken as it is: no character of its name has a meaning.
    pub fn from_path(path: impl Into<PathBuf>) -> Self {
        Self { scheme: None, path: path.into(), parameters: BTreeMap::new(), name: None }
    }

    /// The file that a setting of the model names: relative to the model's folder, or, when it is this
    /// parameter of the URI that names it, to the current folder or else the model's.
    ///
    /// # Errors
    ///
    /// `NotFound` when a parameter names a file that is in neither folder.
    pub fn locate(&self, setting: &str, named: &Path) -> Result<PathBuf, Error> {
        let beside = self.path.with_file_name(named);
        if !self.parameters.contains_key(setting) {
            return Ok(beside);
        }
        match [named.to_owned(), beside.clone()].into_iter().find(|path| path.exists()) {
            Some(path) => Ok(path),
            None => Err(Error::not_found(format!(
                "found neither {} nor {}",
                named.display(),
                beside.display()
            ))),
        }
    }

    /// The backend that was asked for.
    #[must_use]
    pub fn scheme(&self) -> Option<&str> {
        self.scheme.as_deref()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's extension in lower case, or nothing.
    #[must_use]
    pub fn extension(&self) -> Option<String> {
        self.path.extension().map(|extension| extension.to_string_lossy().to_lowercase())
    }

    /// The pairs after the question mark.
    #[must_use]
    pub fn parameters(&self) -> &BTreeMap<String, String> {
        &self.parameters
    }

    /// The name of one of the file's models.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl FromStr for ModelUri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = |message: String| Error::invalid(message).at(text);
        if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
            return Ok(Self::from_path(path));
        }
        let (scheme, location) = match text.split_once(':') {
            _ if file_length(text).is_some() => (None, text),
            Some((scheme, location)) if is_scheme(scheme) => (Some(scheme.to_owned()), location),
            _ => (None, text),
        };
        let length =
            file_length(location).or_else(|| location.find(['?', '#'])).unwrap_or(location.len());
        let (path, rest) = location.split_at(length);
        if path.is_empty() {
            return Err(invalid("expected the path of a model file".into()));
        }
        let (query, name) = match rest.split_once('#') {
            Some((_, "")) => return Err(invalid("expected a model's name behind '#'".into())),
            Some((query, name)) => (query, Some(name.to_owned())),
            None => (rest, None),
        };
        let query = query.strip_prefix('?');
        let mut parameters = BTreeMap::new();
        for pair in query.into_iter().flat_map(|query| query.split('&')) {
            let Some((key, value)) = pair.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                return Err(invalid(format!("expected key=value behind '?', found '{pair}'")));
            };
            let value = decode(value).ok_or_else(|| {
                invalid(format!("the value of '{key}' is not UTF-8 when its %XX are read"))
            })?;
            if parameters.insert(key.to_owned(), value).is_some() {
                return Err(invalid(format!("the parameter '{key}' is given twice")));
            }
        }
        Ok(Self { scheme, path: path.into(), parameters, name })
    }
}

impl fmt::Display for ModelUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = &self.scheme {
            write!(f, "{scheme}:")?;
        }
        let path = self.path.to_string_lossy();
        // Otherwise a part of the path would be parsed as something else.
        let literal = self.scheme.is_none() && self.parameters.is_empty() && self.name.is_none();
        if literal && !is_plain(&path) {
            f.write_str("file:")?;
        }
        f.write_str(&path)?;
        for (index, (key, value)) in self.parameters.iter().enumerate() {
            let value = value.replace('%', "%25").replace('&', "%26").replace('#', "%23");
            write!(f, "{}{key}={value}", if index == 0 { '?' } else { '&' })?;
        }
        match &self.name {
            Some(name) => write!(f, "#{name}"),
            None => Ok(()),
        }
    }
}

/// Reads `%XX`; nothing if the result is not UTF-8.
fn decode(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let digit = |at: usize| tail.get(at).and_then(|digit| (*digit as char).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high << 4 | low) as u8);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// The length of the longest prefix that is the path of a file, if the rest may be parameters and a
/// name. Only the first 64 marks are tried, because each costs a system call.
fn file_length(text: &str) -> Option<usize> {
    let is_file = |length: &usize| {
        Path::new(&text[..*length]).metadata().is_ok_and(|metadata| !metadata.is_dir())
    };
    let mut marks: Vec<_> = text.match_indices(['?', '#']).map(|(at, _)| at).take(64).collect();
    marks.push(text.len());
    marks.into_iter().rfind(is_file)
}

/// Whether a text can only be read as a path.
fn is_plain(text: &str) -> bool {
    let scheme = text.split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme));
    !scheme && !text.contains(['?', '#'])
}

fn is_scheme(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bare_path_is_a_path() {
        for text in ["models/echo.onnx", "/a/b:c.json", r"C:\models\echo.onnx", "./x:1/y.onnx"] {
            let uri: ModelUri = text.parse().unwrap();
            assert_eq!((uri.scheme(), uri.path()), (None, Path::new(text)));
        }
    }

    #[test]
    fn scheme_parameters_and_name_are_parsed() {
        let uri: ModelUri = "ort:a/b.ONNX?x=1&y=a=b#img:latest".parse().unwrap();
        assert_eq!(uri.scheme(), Some("ort"));
        assert_eq!(uri.path(), Path::new("a/b.ONNX"));
        assert_eq!(uri.extension().as_deref(), Some("onnx"));
        assert_eq!(uri.parameters()["y"], "a=b");
        assert_eq!(uri.name(), Some("img:latest"));
    }

    #[test]
    fn a_value_can_hold_any_text() {
        let value =
            |text: &str| text.parse::<ModelUri>().map(|uri| uri.parameters()["response"].clone());
        for (uri, expected) in [
            ("a.json?response=text:a=b: c?d, 100%", "text:a=b: c?d, 100%"),
            ("a.json?response=text:a%26b%23c&x=1#img", "text:a&b#c"),
            ("a.json?response=text:%2526%zz%4", "text:%26%zz%4"),
            ("a.json?response=text:Gr%C3%BC%C3%9Fe", "text:Grüße"),
        ] {
            assert_eq!(value(uri).unwrap(), expected, "{uri}");
        }
        let error = value("a.json?response=text:%FF").unwrap_err().to_string();
        assert!(error.contains("the value of 'response' is not UTF-8"), "{error}");
    }

    #[test]
    fn a_malformed_name_says_what_was_expected() {
        for (text, expected) in [
            ("", "expected the path"),
            ("tract:", "expected the path"),
            ("a.onnx?", "expected key=value"),
            ("a.onnx?x", "expected key=value"),
            ("a.onnx?x=1&x=2", "'x' is given twice"),
            ("a.json#", "expected a model's name"),
        ] {
            let error = text.parse::<ModelUri>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn an_existing_file_takes_precedence_over_parsing_as_a_uri() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["what?.onnx", "a#b.json", "50%25.onnx", "a?x=1", "a"] {
            std::fs::write(path(name), "").unwrap();
            assert_eq!(path(name).parse::<ModelUri>().unwrap(), ModelUri::from_path(path(name)));
        }
        let uri: ModelUri =
            format!("tract:{}?response=echo#img", path("what?.onnx")).parse().unwrap();
        assert_eq!(uri.path(), Path::new(&path("what?.onnx")));
        assert_eq!((uri.scheme(), uri.name()), (Some("tract"), Some("img")));
        assert_eq!(uri.parameters()["response"], "echo");
        // The longest one is taken.
        let uri: ModelUri = path("a?x=1#img").parse().unwrap();
        assert_eq!((uri.path(), uri.name()), (Path::new(&path("a?x=1")), Some("img")));
        let uri: ModelUri = path("a?x=2").parse().unwrap();
        assert_eq!((uri.path(), &*uri.parameters()["x"]), (Path::new(&path("a")), "2"));
        // A folder is not a file.
        std::fs::create_dir(path("folder?x=1")).unwrap();
        assert_eq!(path("folder?x=1").parse::<ModelUri>().unwrap().parameters()["x"], "1");
    }

    #[test]
    fn a_file_whose_name_looks_like_a_scheme_is_that_file() {
        // The tests run in the folder of this package.
        let name = format!("scheme-{}:x.onnx", std::process::id());
        std::fs::write(&name, "").unwrap();
        let found = name.parse::<ModelUri>();
        std::fs::remove_file(&name).unwrap();
        assert_eq!(found.unwrap(), ModelUri::from_path(&name));
        assert!(name.parse::<ModelUri>().unwrap().scheme().is_some());
    }

    #[test]
    fn behind_the_scheme_file_everything_is_the_path() {
        for path in ["tract:x.onnx", "what?.onnx", "a.json#b", "/a b.onnx", "file:x", "///a.onnx"] {
            let uri: ModelUri = format!("file:{path}").parse().unwrap();
            assert_eq!(uri, ModelUri::from_path(path));
        }
        let error = "file:".parse::<ModelUri>().unwrap_err().to_string();
        assert!(error.contains("expected the path"), "{error}");
    }

    #[test]
    fn an_ambiguous_path_is_printed_behind_the_scheme_file() {
        for path in ["what?.onnx", "a.json#b", "tract:x.onnx", "file:x", "a?x=1"] {
            let uri: ModelUri = format!("file:{path}").parse().unwrap();
            assert_eq!(uri.to_string(), format!("file:{path}"));
            assert_eq!(uri.to_string().parse::<ModelUri>().unwrap(), uri);
        }
        for path in ["models/echo.onnx", "/a/b:c.json", r"C:\models\echo.onnx"] {
            assert_eq!(ModelUri::from_path(path).to_string(), path);
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_round_trip(
            scheme in prop::option::of("[a-eg-z][a-z0-9-]{1,8}"),
            path in "[A-Za-z0-9_./-]{1,30}",
            parameters in prop::collection::btree_map("[a-z_]{1,8}", ".{0,8}", 0..4),
            name in prop::option::of("[a-z0-9:/@.-]{1,20}"),
        ) {
            let uri = ModelUri { scheme, path: path.into(), parameters, name };
            prop_assert_eq!(uri.to_string().parse::<ModelUri>().unwrap(), uri);
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in ".*") {
            let _ = text.parse::<ModelUri>();
        }
    }
}
