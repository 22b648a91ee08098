use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use hyperfake_predictor::{
    Error, Feature, ModelInfo, ModelUri, Range, Result, Settings, Units, file,
};
use prost::Message;
use tract_onnx::pb::{GraphProto, ModelProto};

use crate::{Port, Signature, external, numbers, ports, signature::Targets, sizes};

/// The most bytes of external data that a model may have: 256 MiB, far more than a model of five
/// inputs and three outputs needs.
pub const MAX_EXTERNAL_BYTES: u64 = 256 << 20;

/// A file that was read: whole, and with inputs and outputs that a worker can use.
#[derive(Debug, Clone)]
pub struct OnnxFile {
    /// The file, as it was named.
    pub path: PathBuf,
    /// The model as an engine is given it, external data inside.
    pub bytes: Vec<u8>,
    /// The same, parsed.
    pub model: ModelProto,
    /// What it takes and gives.
    pub signature: Signature,
    /// For each of its columns the values that it was trained on, as far as the file says; empty
    /// or as long as the columns.
    pub trained: Vec<Option<Range>>,
    settings: Settings,
}

impl OnnxFile {
    /// Reads the file that a URI names, of at most `max_bytes`.
    ///
    /// # Errors
    ///
    /// Those of [`file::read`] and of [`OnnxFile::parse`]; they name the file.
    pub fn read(uri: &ModelUri, max_bytes: u64) -> Result<Self> {
        let bytes = file::read(uri.path(), max_bytes)?;
        Self::parse(uri, bytes).map_err(|error| error.at(uri.path().display()))
    }

    /// Parses the bytes of a file; its external data is read from beside it.
    ///
    /// # Errors
    ///
    /// `Invalid` for what is not an ONNX model and for external data that cannot be brought
    /// inside; `Unsupported` for a graph that would need much memory; those of [`Signature::of`] and
    /// [`Settings::read`]. They do not name the file.
    pub fn parse(uri: &ModelUri, mut bytes: Vec<u8>) -> Result<Self> {
        let path = uri.path();
        let mut model = ModelProto::decode(&*bytes)
            .map_err(|error| Error::invalid("not an ONNX model").with_source(error))?;
        if external::inline(&mut model, path)? {
            bytes = model.encode_to_vec();
        }
        let missing = || Error::invalid("not an ONNX model: there is no graph");
        let graph = model.graph.as_ref().ok_or_else(missing)?;
        let metadata = model.metadata_props.iter().map(|pair| (&*pair.key, &*pair.value));
        let (settings, targets) = said(uri, metadata)?;
        let (inputs, outputs) = Port::of_graph(graph);
        let signature = Signature::of(&inputs, &outputs, &settings, targets)?;
        check_outputs_exist(graph, &signature)?;
        sizes::check(graph)?;
        let trained = trained_ranges(signature.columns().count(), |name| {
            let found = graph.initializer.iter().find(|tensor| tensor.name == name)?;
            numbers(found).ok().map(|numbers| numbers.values)
        });
        Ok(Self { path: path.to_owned(), bytes, model, signature, trained, settings })
    }

    /// The graph.
    #[must_use]
    pub fn graph(&self) -> Option<&GraphProto> {
        self.model.graph.as_ref()
    }

    /// The model's columns, in the order of its inputs.
    #[must_use]
    pub fn columns(&self) -> Vec<Feature> {
        self.signature.columns().collect()
    }

    /// What is said about the model, with the backend that serves it.
    #[must_use]
    pub fn info(&self, backend: &'static str) -> ModelInfo {
        info(&self.path, backend, &self.signature, self.trained.clone(), self.settings.clone())
    }
}

/// The settings of a model, and in which order its outputs are, from its metadata, its sidecar
/// and its URI.
///
/// Metadata whose key begins with `hyperfake.` is a setting: the pair `hyperfake.response` and
/// `echo` is the setting `response=echo`. HyperFaaS's training programs write the columns as
/// `features` and the outputs as `targets`, names with commas between them.
///
/// # Errors
///
/// Those of [`Settings::read`].
pub fn said<'a>(
    uri: &ModelUri,
    metadata: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(Settings, Option<Targets>)> {
    let mut settings = BTreeMap::new();
    let (mut features, mut targets) = (None, None);
    for (key, value) in metadata {
        match key.strip_prefix("hyperfake.") {
            Some(name) if !name.is_empty() => {
                settings.insert(name.to_owned(), value.to_owned());
            }
            _ if key == "features" => features = Some(value.to_owned()),
            _ if key == "targets" => targets = Targets::parse(value),
            _ => {}
        }
    }
    if let Some(features) = features {
        settings.entry("features".to_owned()).or_insert(features);
    }
    Ok((Settings::read(uri, settings)?, targets))
}

/// What is said about a model with this signature.
pub fn info(
    path: &Path,
    backend: &'static str,
    signature: &Signature,
    trained: Vec<Option<Range>>,
    settings: Settings,
) -> ModelInfo {
    ModelInfo {
        path: path.to_owned(),
        backend,
        inputs: signature.columns().collect(),
        units: Units::NATIVE,
        trained,
        deterministic: true,
        knows_distributions: signature.levels.is_some(),
        settings: settings.into_map(),
    }
}

fn check_outputs_exist(graph: &GraphProto, signature: &Signature) -> Result<()> {
    let given = |name: &str| {
        graph.node.iter().flat_map(|node| &node.output).any(|output| output == name)
            || graph.initializer.iter().any(|tensor| tensor.name == name)
            || ports::open_inputs(graph).iter().any(|input| input.name == name)
    };
    match signature.outputs.iter().find(|name| !given(name)) {
        None => Ok(()),
        Some(name) => Err(Error::invalid(format!("nothing gives the output '{name}'"))),
    }
}

/// Around the scaler that training leaves in a file, if there is one: initializers called
/// `input_mean` and `input_scale`, with a number for each column. Empty without one.
pub fn trained_ranges(
    columns: usize,
    initializer: impl Fn(&str) -> Option<Vec<f64>>,
) -> Vec<Option<Range>> {
    let values = |name| initializer(name).filter(|values| values.len() == columns);
    match (values("input_mean"), values("input_scale")) {
        (Some(means), Some(scales)) => {
            means.into_iter().zip(scales).map(|(mean, scale)| Range::around(mean, scale)).collect()
        }
        _ => Vec::new(),
    }
}
