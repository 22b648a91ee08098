use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use hyperfake_predictor::{Error, ErrorKind, Feature, ModelUri, Output, Result, Settings};
use ort::{
    ErrorCode,
    environment::Environment,
    logging::LogLevel,
    session::{
        HasSelectedOutputs, OutputSelector, RunOptions, Session, builder::GraphOptimizationLevel,
    },
    value::{DynValue, Shape, Tensor, ValueType},
};

use crate::{
    session::Input,
    signature::{Element, Signature, described},
};

/// A model that was tried out: what it takes to make a session of it on any thread.
pub(crate) struct Plan {
    environment: Environment,
    /// The whole file.
    bytes: Vec<u8>,
    /// The file, for messages; its folder is where an ONNX file's external data is.
    pub(crate) path: PathBuf,
    pub(crate) signature: Signature,
    /// The feature of each input column.
    pub(crate) inputs: Vec<Feature>,
    /// One for each output that counts, in the order of the signature.
    pub(crate) buffers: Vec<Buffer>,
}

/// What an output turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Buffer {
    name: String,
    pub(crate) element: Element,
    shape: Shape,
    /// Whether the file states this shape. ONNX Runtime writes into room that was made for an
    /// output only if it does, and files of skl2onnx state `[?,1]` for three outputs.
    stated: bool,
}

impl Plan {
    /// From the bytes of a file, with its settings and its first session.
    pub(crate) fn load(
        environment: Environment,
        bytes: Vec<u8>,
        uri: &ModelUri,
    ) -> Result<(Self, Settings, Session)> {
        let path = uri.path();
        let mut session = commit(&environment, &bytes, path).map_err(refused)?;
        let signature = Signature::of(&session)?;
        let settings = Settings::read(uri, settings(&session).map_err(refused)?)?;
        let inputs = settings.features(signature.columns)?;
        let buffers = try_out(&mut session, &signature)?;
        let plan = Self { environment, bytes, path: path.to_owned(), signature, inputs, buffers };
        Ok((plan, settings, session))
    }

    /// Another session.
    pub(crate) fn graph(&self) -> ort::Result<Session> {
        commit(&self.environment, &self.bytes, &self.path)
    }

    /// Options for a session's runs, with room for the outputs, which each run writes again.
    pub(crate) fn options(&self) -> ort::Result<RunOptions<HasSelectedOutputs>> {
        let mut outputs = OutputSelector::no_default();
        for buffer in &self.buffers {
            outputs = outputs.with(&buffer.name);
            if buffer.stated {
                outputs = outputs.preallocate(&buffer.name, buffer.allocate()?);
            }
        }
        Ok(RunOptions::new()?.with_outputs(outputs))
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("path", &self.path)
            .field("signature", &self.signature)
            .finish_non_exhaustive()
    }
}

impl Buffer {
    fn allocate(&self) -> ort::Result<DynValue> {
        let count = self.shape.num_elements();
        let shape = self.shape.clone();
        Ok(match self.element {
            Element::F32 => Tensor::from_array((shape, vec![0.0_f32; count]))?.into_dyn(),
            Element::F64 => Tensor::from_array((shape, vec![0.0_f64; count]))?.into_dyn(),
        })
    }
}

fn commit(environment: &Environment, bytes: &[u8], path: &Path) -> ort::Result<Session> {
    let folder = path.parent().and_then(|folder| std::path::absolute(folder).ok());
    let mut builder = Session::builder(environment)?
        // It warns at every run of an output whose shape is not the stated one.
        .with_log_level(LogLevel::Error)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_parallel_execution(false)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        // For a model of a few small layers, the plan for its memory costs more than it saves.
        .with_memory_pattern(false)?
        // It would compute with quantised numbers where the file says to dequantise them first:
        // off by up to 11 % with weights of 8 bits, and anything with whole numbers of 32.
        .with_config_entry("session.disable_quant_qdq", "1")?;
    if let Some(folder) = folder.as_deref().and_then(Path::to_str) {
        let key = "session.model_external_initializers_file_folder_path";
        builder = builder.with_config_entry(key, folder)?;
    }
    builder.commit_from_memory(bytes)
}

/// The metadata that is meant for this software, without its prefix.
fn settings(session: &Session) -> ort::Result<BTreeMap<String, String>> {
    let metadata = session.metadata()?;
    let ours = metadata.custom_keys()?.into_iter().filter_map(|key| {
        let name = key.strip_prefix("hyperfake.").filter(|name| !name.is_empty())?;
        Some((name.to_owned(), metadata.custom(&key)?))
    });
    Ok(ours.collect())
}

/// Makes one prediction, as proof that it works, and to learn the size of each output.
fn try_out(session: &mut Session, signature: &Signature) -> Result<Vec<Buffer>> {
    let input = Input::new(signature).map_err(refused)?;
    let stated: BTreeMap<_, _> = session
        .outputs()
        .iter()
        .map(|output| (output.name().to_owned(), output.dtype().clone()))
        .collect();
    let outputs = session.run([input.value()]).map_err(refused)?;
    let numbers = Output::ALL.len() / signature.outputs.len();
    signature
        .outputs
        .iter()
        .map(|name| {
            let Some(value) = outputs.get(name) else {
                let message = format!("there was no output '{name}'");
                return Err(Error::new(ErrorKind::Invalid, message));
            };
            let stated = stated.get(name).is_some_and(|stated| is_stated(stated, value.dtype()));
            buffer(name, value, numbers, signature.rows, stated).ok_or_else(|| {
                let found = described(value.dtype());
                let names = Output::ALL.map(Output::name).join(", ");
                let message = format!(
                    "output '{name}' is {found}, expected [{},{numbers}] or [{numbers}] of float \
                     or double ({names})",
                    signature.rows
                );
                Error::new(ErrorKind::Unsupported, message)
            })
        })
        .collect()
}

/// Whether the file states for an output what it turned out to be.
fn is_stated(stated: &ValueType, found: &ValueType) -> bool {
    match (stated, found) {
        (
            ValueType::Tensor { ty: stated_type, shape: stated, .. },
            ValueType::Tensor { ty: found_type, shape: found, .. },
        ) => {
            let fits = |(stated, found): (&i64, &i64)| *stated < 0 || stated == found;
            stated_type == found_type
                && stated.len() == found.len()
                && stated.iter().zip(found.iter()).all(fits)
        }
        _ => false,
    }
}

fn buffer(
    name: &str,
    value: &DynValue,
    numbers: usize,
    rows: usize,
    stated: bool,
) -> Option<Buffer> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else { return None };
    let (numbers, rows) = (numbers as i64, rows as i64);
    let fits = match shape[..] {
        [] => numbers == 1,
        [count] => count == numbers || (numbers == 1 && count == rows),
        [count, width] => count == rows && width == numbers,
        _ => false,
    };
    let element = Element::of(*ty).filter(|_| fits)?;
    Some(Buffer { name: name.to_owned(), element, shape: shape.clone(), stated })
}

/// ONNX Runtime does not take the model.
pub(crate) fn refused(error: ort::Error) -> Error {
    let kind = match error.code() {
        ErrorCode::NotImplemented => ErrorKind::Unsupported,
        _ => ErrorKind::Invalid,
    };
    Error::new(kind, "ONNX Runtime cannot open the model").with_source(error)
}
