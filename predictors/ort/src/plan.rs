use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use hyperfake_predictor::{Error, ErrorKind, ModelInfo, ModelUri, Result};
use hyperfake_predictor_onnx::{
    Element, MAX_ROWS, OnnxFile, Signature, info, said, trained_ranges,
};
use ort::{
    ErrorCode,
    environment::Environment,
    logging::LogLevel,
    session::{
        HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionInputValue,
        builder::GraphOptimizationLevel,
    },
    value::{DynValue, ValueType},
};

use crate::{
    format,
    ports::{element, ports, type_name},
    tensor::{self, InputTensor},
};

/// A model that was tried out: what it takes to make a session of it on any thread.
pub(crate) struct Plan {
    environment: Environment,
    /// The whole file.
    bytes: Vec<u8>,
    /// The file, for messages.
    pub(crate) path: PathBuf,
    pub(crate) signature: Arc<Signature>,
    /// The batch size on which the file insists, or 1.
    rows: usize,
    /// One for each output that counts, in the order of the signature.
    pub(crate) buffers: Vec<Buffer>,
}

/// A file in one of the two formats that ONNX Runtime reads.
pub(crate) enum Model {
    Onnx(Box<OnnxFile>),
    /// ONNX Runtime's own; only itself reads it.
    Ort(Vec<u8>),
}

impl Model {
    pub(crate) fn parse(bytes: Vec<u8>, uri: &ModelUri) -> Result<Self> {
        // ONNX Runtime recognises its own format by the same bytes.
        if bytes.get(4..8) == Some(b"ORTM") {
            return Ok(Self::Ort(bytes));
        }
        OnnxFile::parse(uri, bytes).map(Box::new).map(Self::Onnx)
    }
}

/// What an output turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Buffer {
    name: String,
    pub(crate) element: Element,
    shape: Vec<usize>,
    /// Whether the file states this shape. ONNX Runtime writes into room that was made for an
    /// output only if it does, and files of skl2onnx state `[?,1]` for three outputs.
    stated: bool,
}

impl Plan {
    /// From a file, with what is said about it and its first session.
    pub(crate) fn load(
        environment: Environment,
        model: Model,
        uri: &ModelUri,
        backend: &'static str,
    ) -> Result<(Self, ModelInfo, Session)> {
        let path = uri.path();
        let (bytes, signature, info, mut session) = match model {
            Model::Ort(bytes) => {
                let session = commit(&environment, &bytes).map_err(refused)?;
                let metadata = metadata(&session).map_err(refused)?;
                let pairs = metadata.iter().map(|(key, value)| (&**key, &**value));
                let (settings, targets) = said(uri, pairs)?;
                let (inputs, outputs) = (ports(session.inputs()), ports(session.outputs()));
                let signature = Signature::of(&inputs, &outputs, &settings, targets)?;
                let trained = trained_ranges(signature.columns().count(), |name| {
                    format::initializer(&bytes, name)
                });
                let info = info(path, backend, &signature, trained, settings);
                (bytes, signature, info, session)
            }
            Model::Onnx(file) => {
                let info = file.info(backend);
                let session = commit(&environment, &file.bytes).map_err(refused)?;
                (file.bytes, file.signature, info, session)
            }
        };
        let rows = signature.rows.unwrap_or(1).clamp(1, MAX_ROWS);
        let buffers = try_out(&mut session, &signature, rows)?;
        let (path, signature) = (path.to_owned(), Arc::new(signature));
        Ok((Self { environment, bytes, path, signature, rows, buffers }, info, session))
    }

    /// The tensors of the inputs.
    pub(crate) fn inputs(&self) -> ort::Result<Vec<InputTensor>> {
        inputs(&self.signature, self.rows)
    }

    /// Another session.
    pub(crate) fn graph(&self) -> ort::Result<Session> {
        commit(&self.environment, &self.bytes)
    }

    /// Options for a session's runs, with room for the outputs, which each run writes again.
    pub(crate) fn options(&self) -> ort::Result<RunOptions<HasSelectedOutputs>> {
        let mut outputs = OutputSelector::no_default();
        for buffer in &self.buffers {
            outputs = outputs.with(&buffer.name);
            if buffer.stated {
                outputs = outputs
                    .preallocate(&buffer.name, tensor::output(buffer.element, &buffer.shape)?);
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

fn commit(environment: &Environment, bytes: &[u8]) -> ort::Result<Session> {
    Session::builder(environment)?
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
        .with_config_entry("session.disable_quant_qdq", "1")?
        .commit_from_memory(bytes)
}

fn metadata(session: &Session) -> ort::Result<BTreeMap<String, String>> {
    let metadata = session.metadata()?;
    let keys = metadata.custom_keys()?.into_iter();
    Ok(keys.filter_map(|key| Some((key.clone(), metadata.custom(&key)?))).collect())
}

fn inputs(signature: &Signature, rows: usize) -> ort::Result<Vec<InputTensor>> {
    signature.inputs.iter().map(|input| InputTensor::new(input, rows)).collect()
}

/// Makes one prediction, as proof that it works, and to learn the size of each output.
fn try_out(session: &mut Session, signature: &Signature, rows: usize) -> Result<Vec<Buffer>> {
    let inputs = inputs(signature, rows).map_err(refused)?;
    let stated: BTreeMap<_, _> = session
        .outputs()
        .iter()
        .map(|output| (output.name().to_owned(), output.dtype().clone()))
        .collect();
    let values: Vec<SessionInputValue<'_>> = inputs.iter().map(InputTensor::value).collect();
    let outputs = session.run(&values[..]).map_err(refused)?;
    let buffer = |name: &String| {
        let Some(value) = outputs.get(name) else {
            let message = format!("there was no output '{name}'");
            return Err(Error::invalid(message));
        };
        let stated = stated.get(name).is_some_and(|stated| is_stated(stated, value.dtype()));
        buffer(name, value, signature, rows, stated)
    };
    signature.outputs.iter().map(buffer).collect()
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
    signature: &Signature,
    rows: usize,
    stated: bool,
) -> Result<Buffer> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(signature.refuse_output(name, &[], &value.dtype().to_string(), rows));
    };
    let shape: Vec<_> = shape.iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect();
    match element(*ty) {
        Some(element) if signature.fits(&shape, rows) => {
            Ok(Buffer { name: name.to_owned(), element, shape, stated })
        }
        _ => Err(signature.refuse_output(name, &shape, &type_name(*ty), rows)),
    }
}

/// ONNX Runtime does not take the model.
pub(crate) fn refused(error: ort::Error) -> Error {
    let kind = match error.code() {
        ErrorCode::NotImplemented => ErrorKind::Unsupported,
        _ => ErrorKind::Invalid,
    };
    Error::new(kind, "ONNX Runtime cannot open the model").with_source(error)
}

/// ONNX Runtime failed although the model was fine before.
pub(crate) fn failed(error: ort::Error) -> Error {
    Error::internal("ONNX Runtime cannot run the model").with_source(error)
}
