//! What a model file holds: one model, or a map from image to model.

use std::{collections::BTreeMap, mem::take, sync::Arc};

use hyperfake_predictor::{Feature, Units};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{
    document::{Amount, Fields, List, Problem, fields, given, parse, short},
    linear::{Coefficients, HyperFaas, Linear},
    quantiles::{Edges, Level, Lists, Numbers, Quantiles},
    rows::Rows,
    served::Served,
    table::Table,
};

/// One of the kinds that answer with three numbers.
#[derive(Debug)]
pub(crate) enum Model {
    Constant([f64; 3]),
    Linear(Linear),
    Table(Table),
}

impl Model {
    /// From the features in the order of [`Feature::ALL`] to results in that of
    /// [`Output::ALL`](hyperfake_predictor::Output::ALL).
    pub(crate) fn predict(&self, features: &[f64; 5]) -> [f64; 3] {
        match self {
            Self::Constant(results) => *results,
            Self::Linear(linear) => linear.predict(features),
            Self::Table(table) => table.predict(features),
        }
    }
}

/// A model of a file, and what the file says about it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) image: Option<String>,
    pub(crate) inputs: Vec<Feature>,
    pub(crate) units: Units,
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) served: Served,
}

/// Fields that say nothing about a model, in a model as well as in a map.
const NOTES: [&str; 2] = ["$schema", "description"];

/// The kinds, for messages.
const KINDS: &str = "constant, linear, table or quantiles";

/// The fields of a model, by which it is told from a map; no image can have such a name.
const FIELDS: &str = "kind image response cold_start features runtime_ns cpu_cores ram_bytes \
                      interpolation rows bins levels image_tag runtime_coeffs cpu_coeffs ram_coeffs \
                      sample_count runtime_r2 cpu_r2 ram_r2";

/// A model of our own kinds: the fields of all of them, and those of one.
macro_rules! kind {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? }) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $name {
            #[serde(rename = "kind")]
            _kind: IgnoredAny,
            #[serde(default, deserialize_with = "given")]
            image: Option<Image>,
            #[serde(default, deserialize_with = "given")]
            response: Option<String>,
            #[serde(default, deserialize_with = "given")]
            cold_start: Option<String>,
            $($(#[$attribute])* $field: $type,)*
            #[serde(rename = "$schema", default, deserialize_with = "given")]
            _schema: Option<String>,
            #[serde(rename = "description", default, deserialize_with = "given")]
            _description: Option<String>,
        }

        impl $name {
            fn entry(self, inputs: Vec<Feature>, served: impl Into<Served>) -> Entry {
                let settings = [("response", self.response), ("cold_start", self.cold_start)];
                let settings = settings.into_iter();
                Entry {
                    image: self.image.map(|image| image.0),
                    inputs,
                    units: Units::NATIVE,
                    settings: settings.filter_map(|(name, s)| Some((name.into(), s?))).collect(),
                    served: served.into(),
                }
            }
        }
    };
}

kind!(ConstantFields { runtime_ns: Amount, cpu_cores: Amount, ram_bytes: Amount });

kind!(LinearFields {
    #[serde(default, deserialize_with = "given")]
    features: Option<List<Column>>,
    runtime_ns: Coefficients,
    cpu_cores: Coefficients,
    ram_bytes: Coefficients,
});

kind!(TableFields {
    #[serde(default, deserialize_with = "given")]
    features: Option<List<Column>>,
    #[serde(default, deserialize_with = "given")]
    interpolation: Option<String>,
    rows: Rows,
});

kind!(QuantilesFields {
    #[serde(default, deserialize_with = "given")]
    features: Option<List<Column>>,
    #[serde(default, deserialize_with = "given")]
    bins: Option<Edges>,
    levels: List<Level>,
    runtime_ns: Lists,
    #[serde(default, deserialize_with = "given")]
    cpu_cores: Option<Numbers>,
    #[serde(default, deserialize_with = "given")]
    ram_bytes: Option<Numbers>,
});

/// The name of an image.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Image(pub(crate) String);

impl TryFrom<String> for Image {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        if name.is_empty() { Err("the image's name is empty") } else { Ok(Self(name)) }
    }
}

/// A feature by its name.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Column(Feature);

impl TryFrom<String> for Column {
    type Error = hyperfake_predictor::Error;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        short(&name).parse().map(Self)
    }
}

/// Reads a file's text. There is at least one model in it; one with an image if it is a map.
pub(crate) fn read(source: &str) -> Result<Vec<Entry>, Problem> {
    let fields = fields(source)?;
    if fields.iter().any(|(name, _)| FIELDS.split(' ').any(|field| field == name)) {
        return Ok(vec![entry(source, &fields)?]);
    }
    let mut entries = Vec::new();
    for (name, value) in &fields {
        match NOTES.contains(&&**name) {
            true => drop(parse::<String>(value.get()).map_err(|problem| within(name, problem))?),
            false => entries.push(image(name, value.get())?),
        }
    }
    if entries.is_empty() {
        let message = "there is no model in the file, expected one with the field 'kind', or a \
                       map from image to model";
        return Err(Problem::new("", message));
    }
    Ok(entries)
}

/// One field of a map of images.
fn image(name: &str, value: &str) -> Result<Entry, Problem> {
    let image = format!("image '{}'", short(name));
    if name.is_empty() {
        return Err(Problem::new("", "the image's name is empty"));
    }
    if !value.starts_with('{') {
        let message = "this is neither a field of a model nor an image with a model; expected one \
                       model with the field 'kind', or a map from image to model";
        return Err(Problem::new(short(name), message));
    }
    let entry = fields(value)
        .and_then(|fields| entry(value, &fields))
        .map_err(|problem| within(&image, problem))?;
    match &entry.image {
        Some(other) if other != name => {
            let message = format!("the model names another image, '{}'", short(other));
            Err(Problem::new(image, message))
        }
        _ => Ok(Entry { image: Some(name.to_owned()), ..entry }),
    }
}

fn within(place: &str, problem: Problem) -> Problem {
    let separator = if problem.place.is_empty() { "" } else { ": " };
    Problem { place: format!("{place}{separator}{}", problem.place), ..problem }
}

fn entry(source: &str, fields: &[(String, &RawValue)]) -> Result<Entry, Problem> {
    let all = || Feature::ALL.to_vec();
    let kind = fields.iter().find(|(name, _)| name == "kind");
    let kind = kind.map(|(_, kind)| parse::<String>(kind.get()));
    let kind = kind.transpose().map_err(|problem| within("kind", problem))?;
    match kind.as_deref() {
        Some("constant") => {
            let fields: ConstantFields = parse(source)?;
            let results = [fields.runtime_ns, fields.cpu_cores, fields.ram_bytes];
            Ok(fields.entry(all(), Model::Constant(results.map(|Amount(result)| result))))
        }
        Some("linear") => {
            let mut fields: LinearFields = parse(source)?;
            let inputs = inputs(fields.features.take())?;
            let outputs = [&mut fields.runtime_ns, &mut fields.cpu_cores, &mut fields.ram_bytes];
            let model = Linear::new(outputs.map(|output| Fields(take(&mut output.0))), &inputs)?;
            Ok(fields.entry(inputs, Model::Linear(model)))
        }
        Some("table") => {
            let mut fields: TableFields = parse(source)?;
            let inputs = inputs(fields.features.take())?;
            let model = Table::new(&fields.rows, fields.interpolation.as_deref(), &inputs)?;
            Ok(fields.entry(inputs, Model::Table(model)))
        }
        Some("quantiles") => quantiles(parse(source)?),
        Some(other) => {
            let message = format!("found the kind '{}', expected {KINDS}", short(other));
            Err(Problem::new("kind", message))
        }
        None if fields.iter().any(|(name, _)| name.ends_with("_coeffs")) => {
            let fields: HyperFaas = parse(source)?;
            Ok(Entry {
                served: Model::Linear(fields.model()?).into(),
                image: fields.image_tag.map(|image| image.0),
                inputs: all(),
                units: Units::MILLISECONDS,
                settings: BTreeMap::new(),
            })
        }
        None => {
            let message = format!("the field 'kind' is missing, expected {KINDS}");
            Err(Problem::new("", message))
        }
    }
}

fn quantiles(mut fields: QuantilesFields) -> Result<Entry, Problem> {
    let features = fields.features.take();
    if features.is_some() != fields.bins.is_some() {
        let message = "'features' and 'bins' are given together, or not at all for a single bin";
        return Err(Problem::new("", message));
    }
    let inputs = inputs(features)?;
    let runtime = Numbers::Bins(List(take(&mut fields.runtime_ns.0)));
    // Without a number for it a call holds nothing.
    let nothing = Numbers::Same(Amount(0.0));
    let results = [
        &runtime,
        fields.cpu_cores.as_ref().unwrap_or(&nothing),
        fields.ram_bytes.as_ref().unwrap_or(&nothing),
    ];
    let model = Quantiles::new(&inputs, fields.bins.as_ref(), &fields.levels, results)?;
    Ok(fields.entry(inputs, Served::Quantiles(Arc::new(model))))
}

/// The columns that a model takes: those in `features`, or all.
fn inputs(features: Option<List<Column>>) -> Result<Vec<Feature>, Problem> {
    let Some(List(columns)) = features else { return Ok(Feature::ALL.to_vec()) };
    let mut inputs = Vec::with_capacity(Feature::ALL.len());
    for (index, Column(feature)) in columns.into_iter().enumerate() {
        if inputs.contains(&feature) {
            let message = format!("the feature '{feature}' is given twice");
            return Err(Problem::new(format!("features[{index}]"), message));
        }
        inputs.push(feature);
    }
    if inputs.is_empty() {
        let message = "the list of features is empty; the kind 'constant' needs none";
        return Err(Problem::new("features", message));
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(source: &str) -> String {
        let problem = read(source).unwrap_err();
        format!("{}: {}", problem.place, problem.message)
    }

    #[test]
    fn a_constant_answers_the_same_to_everything() {
        let source = r#"{"kind": "constant", "runtime_ns": 7000000, "cpu_cores": 0.5, "ram_bytes": 8000000}"#;
        let entries = read(source).unwrap();
        assert_eq!((&entries[0].image, &*entries[0].inputs), (&None, &Feature::ALL[..]));
        let model = entries.into_iter().next().unwrap().point();
        assert_eq!(model.predict(&[f64::NAN; 5]), [7e6, 0.5, 8e6]);
    }

    #[test]
    fn a_refusal_says_the_field_what_was_found_and_what_was_expected() {
        for (source, expected) in [
            ("{}", ": there is no model in the file"),
            ("\n[]", ": found a list, expected an object"),
            ("7", ": found integer '7', expected an object"),
            ("{\n\"knd\": \"constant\"}", "knd: this is neither a field of a model"),
            ("{\n\"\": {}}", ": the image's name is empty"),
            ("{\"rows\": []}", ": the field 'kind' is missing, expected constant"),
            ("{\n\"kind\": 1}", "kind: found integer '1', expected a string"),
            ("{\n\"kind\": \"tabel\"}", "kind: found the kind 'tabel', expected constant"),
            (
                "{\"kind\": \"constant\",\n\"runtime\": 1}",
                "runtime: unknown field 'runtime', expected one of 'kind', 'image', 'response'",
            ),
            ("{\"kind\": \"constant\"}", ": the field 'runtime_ns' is missing"),
            (
                "{\"kind\": \"constant\",\n\"runtime_ns\": -1}",
                "runtime_ns: found -1, expected 0 or more",
            ),
            (
                "{\"kind\": \"linear\", \"features\":\n[\"cpu\"]}",
                "features[0]: no feature is called 'cpu'; there are request_bytes",
            ),
            (
                "{\"kind\": \"linear\", \"features\": [\"active_calls\",\n\"active_calls\"],
                 \"runtime_ns\": {}, \"cpu_cores\": {}, \"ram_bytes\": {}}",
                "features[1]: the feature 'active_calls' is given twice",
            ),
            (
                "{\"kind\": \"linear\", \"features\": [\"active_calls\"], \"cpu_cores\": {},
                 \"runtime_ns\": {\"request_bytes\": 1}, \"ram_bytes\": {}}",
                "runtime_ns.request_bytes: unknown field 'request_bytes', expected one of \
                 intercept, active_calls",
            ),
            (
                "{\"kind\": \"table\",\n\"features\": [], \"rows\": []}",
                "features: the list of features is empty",
            ),
            ("{\n\"a\":\n{\"kind\": 1}}", "image 'a': kind: found integer '1', expected a string"),
            (
                "{\"a:1\":\n{\"cpu_coeffs\": [1, 2, 3, 4, 5, 6]}}",
                "image 'a:1': the field 'runtime_coeffs' is missing",
            ),
        ] {
            let refusal = refusal(source);
            assert!(refusal.starts_with(expected), "{source}: {refusal}");
        }
    }

    #[test]
    fn a_model_in_a_map_may_repeat_its_image_but_not_contradict_it() {
        let map = |image: &str| {
            format!(
                r#"{{"a": {{"kind": "constant", "image": "{image}", "runtime_ns": 1,
                     "cpu_cores": 1, "ram_bytes": 1}}}}"#
            )
        };
        assert_eq!(read(&map("a")).unwrap()[0].image.as_deref(), Some("a"));
        assert!(refusal(&map("b")).contains("image 'a': the model names another image, 'b'"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(source in ".*") {
            let _ = read(&source);
        }

        #[test]
        fn any_mixture_of_the_formats_own_words_is_read_or_refused(words in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\n", "0", "-1", "1e999", "NaN", "null", "\"\\ud800\"",
                "\"kind\":", "\"table\"", "\"linear\"", "\"constant\"", "\"rows\":", "\"features\":",
                "\"active_calls\"", "\"interpolation\":", "\"runtime_ns\":", "\"image\":", "\"a\":",
                "\"runtime_coeffs\":", "[[0,0,0,0]]", "[[0,0,0,0],[1,1,1,1]]", "\"quantiles\"",
                "\"levels\":", "\"bins\":", "[0.1,0.9]", "[[0,1,2]]", "[[1,2]]",
            ]),
            0..24,
        )) {
            let _ = read(&words.concat());
        }
    }
}
