//! The JSON in which the platform holds a function in etcd: the message `CreateFunctionRequest` in
//! protobuf's JSON.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

use super::{FunctionSpec, Limits};
use crate::clock::{Throttle, precise};

/// A function in etcd. Fields may be spelled `maxConcurrency` or `max_concurrency`, integers may be
/// text, and what is missing is zero.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// The image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// What the function may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,
    /// Fields that are not known here.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Image {
    /// Its name and tag.
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub tag: String,
    /// Fields that are not known here.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// What a function may use; zero is "not stated".
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    /// Bytes.
    #[serde(
        deserialize_with = "integer",
        serialize_with = "as_text",
        skip_serializing_if = "is_zero"
    )]
    pub memory: i64,
    /// CPU time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Seconds without a call.
    #[serde(deserialize_with = "integer", skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Calls at once.
    #[serde(
        alias = "max_concurrency",
        deserialize_with = "integer",
        skip_serializing_if = "is_zero"
    )]
    pub max_concurrency: i64,
    /// Fields that are not known here.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// CPU time in each period: `quota / period` is a number of cores.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// The period.
    #[serde(
        deserialize_with = "integer",
        serialize_with = "as_text",
        skip_serializing_if = "is_zero"
    )]
    pub period: i64,
    /// The share of it.
    #[serde(
        deserialize_with = "integer",
        serialize_with = "as_text",
        skip_serializing_if = "is_zero"
    )]
    pub quota: i64,
    /// Fields that are not known here.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Clients decide what is stored: warnings are at least this far apart.
static WARNINGS: Throttle = Throttle::every(Duration::from_secs(1));

impl Metadata {
    /// Reads what is stored under an id, and logs which fields of it are not known.
    ///
    /// # Errors
    ///
    /// When it is not JSON, or a field has another type.
    pub fn read(id: &str, json: &[u8]) -> Result<Self, serde_json::Error> {
        let metadata: Self = serde_json::from_slice(json)?;
        let unknown = metadata.unknown_fields();
        if !unknown.is_empty() && WARNINGS.is_due(precise::now()) {
            tracing::warn!(function = id, ?unknown, "fields of a function in etcd are not known");
        }
        Ok(metadata)
    }

    /// As it is stored.
    #[must_use]
    pub fn json(&self) -> String {
        // Structs with text keys can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The paths of some fields that are not known, shortened.
    fn unknown_fields(&self) -> Vec<String> {
        const SHOWN: usize = 5;
        const LONGEST: usize = 40;
        let config = self.config.as_ref();
        let image = self.image.as_ref().map(|image| ("image.", &image.unknown));
        let cpu = config.and_then(|config| config.cpu.as_ref());
        let cpu = cpu.map(|cpu| ("config.cpu.", &cpu.unknown));
        let config = config.map(|config| ("config.", &config.unknown));
        let all = [Some(("", &self.unknown)), image, config, cpu].into_iter().flatten();
        let paths = all.flat_map(|(path, fields)| fields.keys().map(move |name| (path, name)));
        let shown = paths.map(|(path, name)| path.chars().chain(name.chars()).take(LONGEST));
        shown.take(SHOWN).map(Iterator::collect).collect()
    }
}

impl From<Metadata> for FunctionSpec {
    fn from(metadata: Metadata) -> Self {
        let Config { memory, cpu, timeout, max_concurrency, .. } =
            metadata.config.unwrap_or_default();
        let Cpu { period, quota, .. } = cpu.unwrap_or_default();
        let limits = Limits { memory, period, quota, timeout, max_concurrency };
        limits.spec(metadata.image.unwrap_or_default().tag)
    }
}

/// Text, or null.
fn text<'de, D: Deserializer<'de>>(json: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(json)?.unwrap_or_default())
}

/// An integer as a number or as text, or null. Protobuf's JSON allows `1e3` and `5.0`.
fn integer<'de, D: Deserializer<'de>>(json: D) -> Result<i64, D::Error> {
    let json = Value::deserialize(json)?;
    let exact = |float: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "compared with what it came from")]
        let integer = float as i64;
        (integer as f64 == float && float.abs() < 9.2e18).then_some(integer)
    };
    let read = match &json {
        Value::Null => Some(0),
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(exact)),
        Value::String(text) => {
            text.parse().ok().or_else(|| text.parse::<f64>().ok().and_then(exact))
        }
        _ => None,
    };
    read.ok_or_else(|| de::Error::custom(format!("found {json}, expected an integer")))
}

fn as_text<S: Serializer>(value: &i64, json: S) -> Result<S::Ok, S::Error> {
    json.collect_str(value)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> FunctionSpec {
        Metadata::read("f", json.as_bytes()).unwrap().into()
    }

    #[test]
    fn both_spellings_and_integers_as_text_or_numbers_are_read() {
        let expected = FunctionSpec {
            image: "hyperfaas-echo:latest".into(),
            memory_limit: Some(256 << 20),
            cpu_limit: Some(0.5),
            cpu_period: Some(Duration::from_millis(100)),
            max_concurrency: Some(500),
            idle_timeout: Some(Duration::from_secs(30)),
        };
        for json in [
            r#"{"image":{"tag":"hyperfaas-echo:latest"}, "config":{"memory":"268435456",
                "cpu":{"period":"100000", "quota":"50000"}, "timeout":30, "maxConcurrency":500}}"#,
            r#"{"image":{"tag":"hyperfaas-echo:latest"}, "config":{"memory":268435456,
                "cpu":{"period":1e5, "quota":50000.0}, "timeout":"30", "max_concurrency":"5e2"}}"#,
        ] {
            assert_eq!(spec(json), expected);
        }
    }

    #[test]
    fn missing_null_and_unknown_fields_are_harmless() {
        let expected = FunctionSpec { image: "a".into(), ..FunctionSpec::default() };
        for json in [
            r#"{"image":{"tag":"a"}}"#,
            r#"{"image":{"tag":"a"},"config":{}}"#,
            r#"{"image":{"tag":"a"},"config":null}"#,
            r#"{"image":{"tag":"a"},"config":{"cpu":null,"memory":null,"timeout":0}}"#,
            r#"{"image":{"tag":"a","x":1},"config":{"cpu":{"y":[]},"z":{}},"w":null}"#,
        ] {
            assert_eq!(spec(json), expected, "{json}");
        }
        assert_eq!(spec("{}"), FunctionSpec::default());
        let json = r#"{"image":{"tag":"a","x":1},"config":{"cpu":{"y":[]},"z":{}},"w":null}"#;
        let unknown = Metadata::read("f", json.as_bytes()).unwrap().unknown_fields();
        assert_eq!(unknown, ["w", "image.x", "config.z", "config.cpu.y"]);
    }

    #[test]
    fn what_is_no_function_is_refused() {
        for (json, expected) in [
            ("", "EOF"),
            ("[]", "invalid type"),
            (r#"{"image":"a"}"#, "invalid type"),
            (r#"{"config":{"memory":"lots"}}"#, "found \"lots\", expected an integer"),
            (r#"{"config":{"memory":1.5}}"#, "found 1.5, expected an integer"),
            (r#"{"config":{"maxConcurrency":1,"max_concurrency":2}}"#, "duplicate field"),
        ] {
            let error = Metadata::read("f", json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }

    #[test]
    fn it_is_written_as_the_platform_writes_it() {
        let json = r#"{"image":{"tag":"a:1"},"config":{"memory":"5","cpu":{"period":"2","quota":"1"},"timeout":3,"maxConcurrency":4,"new":true}}"#;
        let metadata = Metadata::read("f", json.as_bytes()).unwrap();
        assert_eq!(metadata.json(), json);
        assert_eq!(Metadata::default().json(), "{}");
    }
}
