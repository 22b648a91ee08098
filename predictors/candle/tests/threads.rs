//! Alone in its program, so that no other test starts threads meanwhile.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

use std::{fs, path::Path};

use hyperfake_predictor::{Backend, Features, ModelUri};
use hyperfake_predictor_candle::CandleBackend;
use safetensors::{Dtype, tensor::TensorView};

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// A network whose hidden layers have this number of units.
fn write(path: &Path, width: usize) {
    let shapes = [("0.weight", [width, 5]), ("1.weight", [width, width]), ("2.weight", [3, width])];
    let bytes = vec![0; width * width.max(5) * 4];
    let views = shapes.map(|(name, shape)| {
        let bytes = &bytes[..shape[0] * shape[1] * 4];
        (name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// At 255 element-wise operations are just small enough, above that matrix products are used, and
/// a product of 900 by 900 is large enough for candle to spread over threads if it had more rows.
#[test]
fn a_prediction_starts_no_threads() {
    let folder = tempfile::tempdir().unwrap();
    let before = threads();
    for width in [8, 255, 256, 900] {
        let path = folder.path().join("model.safetensors");
        write(&path, width);
        let model = CandleBackend.open(&ModelUri::from_path(path)).unwrap();
        model.session().unwrap().predict(&Features::IDLE).unwrap();
        assert_eq!(threads(), before, "{width}");
    }
}
