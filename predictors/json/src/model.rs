//! What a model file holds: one model, or a map from image to model.

use std::collections::BTreeMap;

use hyperfake_predictor::{Feature, Output, Range, Units};

use crate::{
    document::{Field, Node, Object, Problem, quoted},
    linear::{HYPERFAAS_FIELDS, Linear},
    table::Table,
};

/// One of the kinds.
#[derive(Debug)]
pub(crate) enum Model {
    Constant([f64; 3]),
    Linear(Linear),
    Table(Table),
}

impl Model {
    /// From the features in the order of [`Feature::ALL`] to results in that of [`Output::ALL`].
    pub(crate) fn predict(&self, features: &[f64; 5]) -> [f64; 3] {
        match self {
            Self::Constant(results) => *results,
            Self::Linear(linear) => linear.predict(features),
            Self::Table(table) => table.predict(features),
        }
    }

    /// The values of each input that the model was made from, if it knows them.
    pub(crate) fn trained(&self, inputs: &[Feature]) -> Vec<Option<Range>> {
        match self {
            Self::Constant(_) | Self::Linear(_) => Vec::new(),
            Self::Table(table) => inputs.iter().map(|input| table.range(*input)).collect(),
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
    pub(crate) model: Model,
}

/// Fields that say nothing about a model, in a model as well as in a map.
const NOTES: &[&str] = &["$schema", "description"];

/// Fields of every kind.
const COMMON: &[&str] = &["kind", "image", SETTINGS[0], SETTINGS[1]];

/// Fields that are handed on as they stand.
const SETTINGS: [&str; 2] = ["response", "cold_start"];

/// The results.
const OUTPUTS: &[&str] = &["runtime_ns", "cpu_cores", "ram_bytes"];

/// Further fields of a table.
const TABLE: &[&str] = &["interpolation", "rows"];

/// Reads a file's text. There is at least one model in it; one with an image if it is a map.
pub(crate) fn read(source: &str) -> Result<Vec<Entry>, Problem> {
    let object = Node::parse(source)?.object()?;
    let model_fields = [COMMON, &["features"], OUTPUTS, TABLE, &HYPERFAAS_FIELDS].concat();
    if object.fields.iter().any(|field| model_fields.contains(&&*field.name)) {
        return Ok(vec![entry(&object)?]);
    }
    check_notes(&object)?;
    let images = object.fields.iter().filter(|field| !NOTES.contains(&&*field.name));
    let entries = images.map(image).collect::<Result<Vec<_>, _>>()?;
    if entries.is_empty() {
        return Err(object.node.problem(
            "there is no model in the file, expected one with the field 'kind', \
             or a map from image to model",
        ));
    }
    Ok(entries)
}

/// One field of a map of images.
fn image(field: &Field<'_>) -> Result<Entry, Problem> {
    let image = quoted(&field.name);
    if field.name.is_empty() {
        return Err(field.key.problem("the image's name is empty"));
    }
    if !field.value.is_object() {
        return Err(field.key.problem(format!(
            "{image} is neither a field of a model nor an image with a model; \
             expected one model with the field 'kind', or a map from image to model"
        )));
    }
    let within = |problem: Problem| Problem {
        message: format!("image {image}: {}", problem.message),
        ..problem
    };
    let entry = field.value.object().and_then(|object| entry(&object)).map_err(within)?;
    match &entry.image {
        Some(other) if *other != field.name => {
            let message = format!("the model names another image, {}", quoted(other));
            Err(within(field.key.problem(message)))
        }
        _ => Ok(Entry { image: Some(field.name.clone()), ..entry }),
    }
}

fn entry(object: &Object<'_>) -> Result<Entry, Problem> {
    let Some(kind) = object.find("kind") else { return hyperfaas_entry(object) };
    let (model, inputs) = match &*kind.string()? {
        "constant" => {
            object.only(&[COMMON, OUTPUTS, NOTES])?;
            (Model::Constant(constant(object)?), Feature::ALL.to_vec())
        }
        "linear" => {
            object.only(&[COMMON, &["features"], OUTPUTS, NOTES])?;
            let inputs = inputs(object)?;
            (Model::Linear(Linear::read(object, &inputs)?), inputs)
        }
        "table" => {
            object.only(&[COMMON, &["features"], TABLE, NOTES])?;
            let inputs = inputs(object)?;
            (Model::Table(Table::read(object, &inputs)?), inputs)
        }
        other => {
            let other = quoted(other);
            let message = format!("found the kind {other}, expected constant, linear or table");
            return Err(kind.problem(message));
        }
    };
    check_notes(object)?;
    let mut settings = BTreeMap::new();
    for name in SETTINGS {
        if let Some(setting) = object.string(name)? {
            settings.insert(name.to_owned(), setting);
        }
    }
    Ok(Entry {
        image: named_image(object, "image")?,
        inputs,
        units: Units::NATIVE,
        settings,
        model,
    })
}

/// A model as HyperFaaS writes it, recognised by its coefficients.
fn hyperfaas_entry(object: &Object<'_>) -> Result<Entry, Problem> {
    if !object.fields.iter().any(|field| field.name.ends_with("_coeffs")) {
        let message = "the field 'kind' is missing, expected constant, linear or table";
        return Err(object.node.problem(message));
    }
    object.only(&[&HYPERFAAS_FIELDS])?;
    if let Some(samples) = object.find("sample_count") {
        samples.amount()?;
    }
    for name in ["runtime_r2", "cpu_r2", "ram_r2"] {
        object.find(name).map(Node::number).transpose()?;
    }
    Ok(Entry {
        image: named_image(object, "image_tag")?,
        inputs: Feature::ALL.to_vec(),
        units: Units::MILLISECONDS,
        settings: BTreeMap::new(),
        model: Model::Linear(Linear::read_hyperfaas(object)?),
    })
}

fn constant(object: &Object<'_>) -> Result<[f64; 3], Problem> {
    let mut results = [0.0; 3];
    for (result, output) in results.iter_mut().zip(Output::ALL) {
        *result = object.required(output.name())?.amount()?;
    }
    Ok(results)
}

/// The columns that a model takes: those in `features`, or all.
fn inputs(object: &Object<'_>) -> Result<Vec<Feature>, Problem> {
    let Some(list) = object.find("features") else { return Ok(Feature::ALL.to_vec()) };
    let mut inputs = Vec::with_capacity(Feature::ALL.len());
    for item in list.list()? {
        let name = item.string()?;
        let Some(feature) = Feature::named(&name) else {
            let (name, known) = (quoted(&name), Feature::ALL.map(Feature::name).join(", "));
            return Err(item.problem(format!("no feature is called {name}; there are {known}")));
        };
        if inputs.contains(&feature) {
            return Err(item.problem(format!("the feature '{feature}' is given twice")));
        }
        inputs.push(feature);
    }
    if inputs.is_empty() {
        return Err(list.problem("the list of features is empty; the kind 'constant' needs none"));
    }
    Ok(inputs)
}

fn named_image(object: &Object<'_>, name: &'static str) -> Result<Option<String>, Problem> {
    match (object.find(name), object.string(name)?) {
        (Some(node), Some(image)) if image.is_empty() => {
            Err(node.problem("the image's name is empty"))
        }
        (_, image) => Ok(image),
    }
}

/// Notes are not used, but they are text.
fn check_notes(object: &Object<'_>) -> Result<(), Problem> {
    NOTES.iter().try_for_each(|note| object.string(note).map(drop))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(source: &str) -> String {
        let problem = read(source).unwrap_err();
        format!("line {}: {}", problem.line, problem.message)
    }

    #[test]
    fn a_constant_answers_the_same_to_everything() {
        let source = r#"{"kind": "constant", "runtime_ns": 7000000, "cpu_cores": 0.5, "ram_bytes": 8000000}"#;
        let entries = read(source).unwrap();
        assert_eq!((&entries[0].image, &*entries[0].inputs), (&None, &Feature::ALL[..]));
        assert_eq!(entries[0].model.predict(&[f64::NAN; 5]), [7e6, 0.5, 8e6]);
    }

    #[test]
    fn a_refusal_says_the_line_what_was_found_and_what_was_expected() {
        for (source, expected) in [
            ("{}", "line 1: there is no model in the file"),
            ("\n[]", "line 2: found a list, expected an object"),
            ("7", "line 1: found '7', expected an object"),
            ("{\n\"knd\": \"constant\"}", "line 2: 'knd' is neither a field of a model"),
            ("{\n\"\": {}}", "line 2: the image's name is empty"),
            ("{\"rows\": []}", "line 1: the field 'kind' is missing, expected constant"),
            ("{\n\"kind\": 1}", "line 2: found '1' for 'kind', expected a string"),
            ("{\n\"kind\": \"tabel\"}", "line 2: found the kind 'tabel', expected constant"),
            ("{\"kind\": \"constant\",\n\"runtime\": 1}", "line 2: unknown field 'runtime'"),
            ("{\"kind\": \"constant\"}", "line 1: the field 'runtime_ns' is missing"),
            (
                "{\"kind\": \"constant\",\n\"runtime_ns\": -1}",
                "line 2: found '-1' for 'runtime_ns', expected 0 or more",
            ),
            (
                "{\"kind\": \"linear\", \"features\":\n[\"cpu\"]}",
                "line 2: no feature is called 'cpu'; there are request_bytes",
            ),
            (
                "{\"kind\": \"linear\", \"features\": [\"active_calls\",\n\"active_calls\"]}",
                "line 2: the feature 'active_calls' is given twice",
            ),
            (
                "{\"kind\": \"linear\", \"features\": [\"active_calls\"],\n\
                 \"runtime_ns\": {\"request_bytes\": 1}}",
                "line 2: unknown field 'request_bytes', expected one of intercept, active_calls",
            ),
            ("{\"kind\": \"table\",\n\"features\": []}", "line 2: the list of features is empty"),
            ("{\n\"a\":\n{\"kind\": 1}}", "line 3: image 'a': found '1' for 'kind'"),
            ("{\"a:1\":\n{\"cpu_coeffs\": []}}", "line 2: image 'a:1': the field 'runtime_coeffs'"),
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
                "\"runtime_coeffs\":", "[[0,0,0,0]]", "[[0,0,0,0],[1,1,1,1]]",
            ]),
            0..24,
        )) {
            let _ = read(&words.concat());
        }
    }
}
