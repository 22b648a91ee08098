//! A model, made ready to run.

use std::{path::PathBuf, sync::Arc};

use half::f16;
use hyperfake_predictor::{Error, Result};
use hyperfake_predictor_onnx::{Element, OnnxFile, Signature};
use tract_onnx::{
    Onnx,
    prelude::*,
    tract_core::plan::SimplePlan,
    tract_hir::internal::{TypedSimpleState, format_err},
};

use crate::operators;

/// An optimised graph, and how to feed it.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The file, for messages.
    pub(crate) path: PathBuf,
    graph: Arc<TypedRunnableModel>,
    pub(crate) signature: Arc<Signature>,
    /// The rows of its inputs: 1, or the batch size on which the graph insists.
    pub(crate) rows: usize,
}

impl Plan {
    /// The graph of a file, not yet optimised.
    pub(crate) fn parse(file: &OnnxFile) -> Result<InferenceModel> {
        // Sizes in between may be written for another batch size; tract works them out anyway.
        let mut onnx = tract_onnx::onnx().with_ignore_value_info(true);
        operators::replace(&mut onnx.op_register);
        operators::check(&file.model)?;
        parse(&onnx, file)
    }

    /// Optimises the graph for `rows` rows.
    pub(crate) fn new(mut graph: InferenceModel, file: &OnnxFile, rows: usize) -> Result<Self> {
        let signature = &file.signature;
        let optimise = || -> TractResult<_> {
            for (index, input) in signature.inputs.iter().enumerate() {
                let fact = InferenceFact::dt_shape(datum_type(input.element), input.shape(rows));
                graph.set_input_fact(index, fact)?;
            }
            let declared = file.graph().map(|graph| graph.output.as_slice()).unwrap_or_default();
            let outlets = graph.output_outlets()?;
            let chosen: Option<Vec<_>> = signature
                .outputs
                .iter()
                .map(|name| {
                    let index = declared.iter().position(|output| output.name == *name)?;
                    outlets.get(index).copied()
                })
                .collect();
            let chosen = chosen.ok_or_else(|| format_err!("an output is missing"))?;
            graph.select_output_outlets(&chosen)?;
            // Stated, because tract otherwise asks a lock that all threads share.
            let options = RunOptions {
                executor: Some(multithread::Executor::SingleThread),
                ..RunOptions::default()
            };
            SimplePlan::new_with_options(graph.into_optimized()?, &options)
        };
        let graph = optimise().map_err(|error| {
            Error::unsupported("tract cannot prepare the graph").with_source(error)
        })?;
        let signature = Arc::new(signature.clone());
        Ok(Self { path: file.path.clone(), graph, signature, rows })
    }

    /// The buffers of one session.
    pub(crate) fn state(&self) -> Result<TypedSimpleState> {
        self.graph
            .spawn()
            .map_err(|error| Error::internal("tract cannot make a state").with_source(error))
    }

    /// Writes the first row of what the graph gave.
    pub(crate) fn answer(&self, outputs: &[TValue], numbers: &mut [f64]) -> Result<()> {
        let signature = &*self.signature;
        let width = signature.numbers();
        for (index, (name, numbers)) in
            signature.outputs.iter().zip(numbers.chunks_mut(width)).enumerate()
        {
            let tensor = outputs.get(index).map(|value| &**value);
            let read = tensor.is_some_and(|tensor| {
                signature.fits(tensor.shape(), self.rows) && read(tensor, numbers).is_some()
            });
            if !read {
                let shape = tensor.map_or(&[][..], Tensor::shape);
                let found = tensor.map_or("nothing".to_owned(), |t| type_name(t.datum_type()));
                return Err(signature.refuse_output(name, shape, &found, self.rows));
            }
        }
        Ok(())
    }
}

/// The first numbers of a tensor.
fn read(tensor: &Tensor, numbers: &mut [f64]) -> Option<()> {
    fn copy<T: Datum + Copy>(
        tensor: &Tensor,
        numbers: &mut [f64],
        widen: impl Fn(T) -> f64,
    ) -> Option<()> {
        let plain = tensor.as_plain_ram()?;
        let values = plain.as_slice::<T>().ok()?.get(..numbers.len())?;
        numbers.iter_mut().zip(values).for_each(|(number, value)| *number = widen(*value));
        Some(())
    }
    match tensor.datum_type() {
        DatumType::F32 => copy::<f32>(tensor, numbers, f64::from),
        DatumType::F64 => copy::<f64>(tensor, numbers, |value| value),
        DatumType::F16 => copy::<f16>(tensor, numbers, f16::to_f64),
        DatumType::I64 => copy::<i64>(tensor, numbers, |value| value as f64),
        DatumType::I32 => copy::<i32>(tensor, numbers, f64::from),
        // How tract keeps an int64, which may be a size.
        DatumType::TDim => {
            copy::<i64>(&*tensor.cast_to::<i64>().ok()?, numbers, |value| value as f64)
        }
        _ => None,
    }
}

fn datum_type(element: Element) -> DatumType {
    match element {
        Element::F32 => DatumType::F32,
        Element::F64 => DatumType::F64,
        Element::F16 => DatumType::F16,
        Element::I64 => DatumType::I64,
        Element::I32 => DatumType::I32,
    }
}

fn parse(onnx: &Onnx, file: &OnnxFile) -> Result<InferenceModel> {
    let parsed = onnx
        .parse(&file.model, None)
        .map_err(|error| Error::invalid("tract cannot read the graph").with_source(error))?;
    if parsed.unresolved_inputs.is_empty() {
        return Ok(parsed.model);
    }
    let names = parsed.unresolved_inputs.join("', '");
    Err(Error::invalid(format!("nothing gives '{names}', which the graph uses")))
}

/// The ONNX name of an element type.
fn type_name(datum: DatumType) -> String {
    match datum {
        DatumType::F32 => "float".to_owned(),
        DatumType::F64 => "double".to_owned(),
        DatumType::F16 => "float16".to_owned(),
        // Integers that may hold sizes of other tensors.
        DatumType::I64 | DatumType::TDim => "int64".to_owned(),
        DatumType::I32 => "int32".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}
