//! A model, made ready to run.

use std::{path::PathBuf, sync::Arc};

use hyperfake_predictor::{Error, ErrorKind, Feature, Features, Output, RawPrediction, Result};
use tract_onnx::{prelude::*, tract_core::plan::SimplePlan, tract_hir::internal::TypedSimpleState};

use crate::{graph::Element, operators, session::TractSession, source::Source};

/// A graph that insists on a larger batch than this is refused: each call would compute it all.
const MAX_ROWS: usize = 1024;

/// An optimised graph, and how to feed it.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The file, for messages.
    pub(crate) path: PathBuf,
    graph: Arc<TypedRunnableModel>,
    /// What its input's columns are.
    pub(crate) columns: Vec<Feature>,
    /// The element type of its input.
    pub(crate) element: Element,
    /// The rows of its input: 1, or the batch size on which the graph insists.
    pub(crate) rows: usize,
    output: String,
}

impl Plan {
    /// From a file that was read. External data is beside the file.
    pub(crate) fn load(source: &Source) -> Result<Arc<Self>> {
        operators::check(&source.model)?;
        let graph = parse(source)?;
        match (Self::build(graph.clone(), source, 1), source.signature.rows) {
            (Err(_), Some(rows @ 2..=MAX_ROWS)) => Self::build(graph, source, rows),
            (plan, _) => plan,
        }
    }

    /// Optimises the graph for so many rows and makes one prediction, as proof that it works.
    fn build(mut graph: InferenceModel, source: &Source, rows: usize) -> Result<Arc<Self>> {
        let signature = &source.signature;
        let datum = match signature.element {
            Element::F32 => f32::datum_type(),
            Element::F64 => f64::datum_type(),
        };
        let (index, output) = &signature.output;
        let optimise = || -> TractResult<_> {
            graph.set_input_fact(0, InferenceFact::dt_shape(datum, [rows, signature.columns]))?;
            let outlet = graph.output_outlets()?[*index];
            graph.select_output_outlets(&[outlet])?;
            // Stated, because tract otherwise asks a lock that all threads share.
            let options = RunOptions {
                executor: Some(multithread::Executor::SingleThread),
                ..RunOptions::default()
            };
            SimplePlan::new_with_options(graph.into_optimized()?, &options)
        };
        let graph = optimise().map_err(|error| {
            Error::new(ErrorKind::Unsupported, "tract cannot prepare the graph").with_source(error)
        })?;
        let plan = Arc::new(Self {
            path: source.path.clone(),
            graph,
            columns: source.columns.clone(),
            element: signature.element,
            rows,
            output: output.clone(),
        });
        TractSession::new(Arc::clone(&plan))?.run(&Features::IDLE)?;
        Ok(plan)
    }

    /// The buffers of one session.
    pub(crate) fn state(&self) -> Result<TypedSimpleState> {
        self.graph.spawn().map_err(|error| {
            Error::new(ErrorKind::Internal, "tract cannot make a state").with_source(error)
        })
    }

    /// The first row of what the graph gave.
    pub(crate) fn answer(&self, outputs: &[TValue]) -> Result<RawPrediction> {
        let tensor = outputs.first().map(|value| &**value);
        tensor.and_then(|tensor| self.first_row(tensor)).map(RawPrediction::from_array).ok_or_else(
            || {
                let found = tensor.map_or("nothing".to_owned(), |tensor| {
                    let sizes: Vec<_> = tensor.shape().iter().map(ToString::to_string).collect();
                    format!("[{}] of {}", sizes.join(","), type_name(tensor.datum_type()))
                });
                let expected = Output::ALL.map(Output::name).join(", ");
                Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "output '{}' is {found}, expected [{},3] or [3] of float or double ({expected})",
                        self.output, self.rows
                    ),
                )
            },
        )
    }

    fn first_row(&self, tensor: &Tensor) -> Option<[f64; 3]> {
        match *tensor.shape() {
            [3] => {}
            [rows, 3] if rows == self.rows => {}
            _ => return None,
        }
        let values = tensor.as_plain_ram()?;
        match tensor.datum_type() {
            DatumType::F32 => {
                let row: &[f32; 3] = values.as_slice().ok()?.first_chunk()?;
                Some(row.map(f64::from))
            }
            DatumType::F64 => values.as_slice().ok()?.first_chunk().copied(),
            _ => None,
        }
    }
}

fn parse(source: &Source) -> Result<InferenceModel> {
    let parsed = source.onnx.parse(&source.model, source.folder()).map_err(|error| {
        Error::new(ErrorKind::Invalid, "tract cannot read the graph").with_source(error)
    })?;
    if parsed.unresolved_inputs.is_empty() {
        return Ok(parsed.model);
    }
    let names = parsed.unresolved_inputs.join("', '");
    Err(Error::new(ErrorKind::Invalid, format!("nothing gives '{names}', which the graph uses")))
}

/// The ONNX name of an element type.
fn type_name(datum: DatumType) -> String {
    match datum {
        DatumType::F32 => "float".to_owned(),
        DatumType::F64 => "double".to_owned(),
        // Integers that may hold sizes of other tensors.
        DatumType::I64 | DatumType::TDim => "int64".to_owned(),
        other => format!("{other:?}"),
    }
}
