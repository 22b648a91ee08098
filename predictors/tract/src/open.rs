//! Prepares a graph and makes one prediction, to check that it works.

use std::sync::Arc;

use hyperfake_predictor::{Features, Result};
use hyperfake_predictor_onnx::{MAX_ROWS, OnnxFile};
use tract_onnx::prelude::InferenceModel;

use crate::{plan::Plan, session::TractSession};

/// The plan for one row; for the batch size of the file, if its graph insists on that.
pub(crate) fn open(file: &OnnxFile) -> Result<Arc<Plan>> {
    let graph = Plan::parse(file)?;
    match (try_plan(graph.clone(), file, 1), file.signature.rows) {
        (Err(_), Some(rows @ 2..=MAX_ROWS)) => try_plan(graph, file, rows),
        (plan, _) => plan,
    }
}

fn try_plan(graph: InferenceModel, file: &OnnxFile, rows: usize) -> Result<Arc<Plan>> {
    let plan = Arc::new(Plan::new(graph, file, rows)?);
    let mut numbers = vec![0.0; plan.signature.width()];
    TractSession::new(Arc::clone(&plan))?.run(&Features::IDLE, &mut numbers)?;
    Ok(plan)
}
