//! Reads a file of answers.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use hyperfake_predictor::Error;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use super::{Answers, Outcome, method::Method};
use crate::schema::{self, Schema};

/// A file of answers, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// `.proto` files, or one descriptor set; relative to this file.
    #[serde(deserialize_with = "one_or_more")]
    proto: Vec<PathBuf>,
    /// Where imports are searched for, relative to this file; its own folder, unless stated.
    #[serde(default)]
    include: Vec<PathBuf>,
    /// What methods answer. Those of the schema that are not here answer an empty message.
    #[serde(default)]
    methods: BTreeMap<String, MethodEntry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MethodEntry {
    /// The answer in the JSON form of its message; texts in it are templates.
    pub(super) answer: Option<Value>,
    /// How the call ends, if not with an answer.
    #[serde(default)]
    pub(super) outcome: Outcome,
    /// How long the call takes, such as `{{ request.millis }}ms`; else the model says.
    pub(super) run_time: Option<String>,
}

impl Answers {
    /// Reads a file of answers, and everything that it names.
    ///
    /// # Errors
    ///
    /// `Invalid` and the like, with the file's name and, where there is one, the field: for a file that
    /// cannot be read, a schema that does not compile, a method that the schema does not have, a
    /// template that is none, and a field that its message does not have.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bytes = schema::read(path)?;
        Self::parse(path, &bytes).map_err(|error| error.at(path.display()))
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let file: File = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let field = error.path().to_string();
            let invalid = Error::invalid(error.into_inner().to_string());
            if matches!(&*field, "." | "?") { invalid } else { invalid.at(field) }
        })?;
        json.end().map_err(|error| Error::invalid(error.to_string()))?;

        let folder = path.parent().unwrap_or(Path::new(""));
        let below = |path: &PathBuf| folder.join(path);
        let mut include: Vec<_> = file.include.iter().map(below).collect();
        if include.is_empty() {
            include.push(folder.to_owned());
        }
        let schema = Schema::open(&file.proto.iter().map(below).collect::<Vec<_>>(), &include)
            .map_err(|error| error.at("proto"))?;

        let mut entries = file.methods;
        let mut methods = Vec::new();
        for descriptor in schema.methods() {
            let path = schema::path(&descriptor);
            let entry = entries.remove(&path).unwrap_or_default();
            let method = Method::new(path.clone(), &descriptor, &entry);
            methods.push(method.map_err(|error| error.at(path).at("methods"))?);
        }
        if let Some(unknown) = entries.keys().next() {
            let there_are: Vec<_> = methods.iter().map(|method| method.path.as_str()).collect();
            let there_are = there_are.join(", ");
            let message = format!("the schema has no method '{unknown}'; there are: {there_are}");
            return Err(Error::invalid(message).at("methods"));
        }
        Ok(Self { methods, descriptors: schema.encoded() })
    }
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let path = |value: &Value| value.as_str().map(PathBuf::from);
    let found = Value::deserialize(deserializer)?;
    let paths = match &found {
        Value::Array(items) => items.iter().map(path).collect(),
        one => path(one).map(|path| vec![path]),
    };
    paths.ok_or_else(|| {
        D::Error::custom(format!("found {found}, expected a path or a list of paths"))
    })
}
