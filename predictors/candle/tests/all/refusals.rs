//! What is refused, and how the refusal reads.

use hyperfake_predictor::Features;
use hyperfake_predictor_testkit::reference::Network;
use proptest::prelude::*;
use safetensors::Dtype;

use crate::file::{File, Model};

fn network() -> Model {
    Model::of(&Network::sample(&[8, 8], 1))
}

fn refusal(model: &Model) -> String {
    File::of(model).refusal()
}

#[test]
fn a_header_of_ten_gigabytes_is_refused_at_once() {
    let mut bytes = network().to_bytes();
    bytes[..8].copy_from_slice(&10_000_000_000_u64.to_le_bytes());
    let follow = bytes.len() - 8;
    assert_eq!(
        File::of_bytes(&bytes).refusal(),
        format!(
            "not a safetensors file, or cut short: its header should have 10000000000 bytes, and \
             {follow} follow"
        )
    );
    bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(File::of_bytes(&bytes).refusal().contains("18446744073709551615 bytes"));
}

#[test]
fn files_that_are_not_safetensors() {
    let with_header = |header: &str| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        File::of_bytes(&bytes).refusal()
    };
    assert_eq!(
        File::of_bytes(b"{}").refusal(),
        "not a safetensors file: found 2 bytes, expected at least the 8 of the header's length"
    );
    assert!(with_header("{\"a\":").starts_with("not a safetensors file: invalid JSON in header"));
    assert!(with_header(&"[".repeat(100_000)).starts_with("not a safetensors file: "));
    let beyond = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    assert!(with_header(beyond).starts_with("not a safetensors file: incomplete"));
    let overflow = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#;
    assert!(with_header(overflow).starts_with("not a safetensors file: overflow"));
    assert!(with_header("{}").starts_with("found no layer: "));
}

#[test]
fn tensors_of_another_shape_or_type() {
    for (model, expected) in [
        (
            network().tensor("model.3.weight", &[64], &[0.0; 64]),
            "tensor 'model.3.weight' has the shape [64], expected [outputs,inputs] of a linear \
             layer",
        ),
        (
            network().tensor("model.3.weight", &[8, 7], &[0.0; 56]),
            "layer 'model.3' takes 7 inputs, but the layer before it has 8 outputs; is one \
             missing?",
        ),
        (
            network().tensor("model.3.bias", &[7], &[0.0; 7]),
            "tensor 'model.3.bias' has the shape [7], expected [8]",
        ),
        (
            network().tensor("input_mean", &[4], &[0.0; 4]),
            "tensor 'input_mean' has the shape [4], expected [5]",
        ),
        (
            network().tensor("output_scale", &[3, 1], &[0.0; 3]),
            "tensor 'output_scale' has the shape [3,1], expected [3]",
        ),
        (
            network().tensor("input_scale", &[5], &[1.0, 1.0, 0.0, 1.0, 1.0]),
            "input_scale of column 2 is 0, and is divided by",
        ),
        (
            network().tensor("model.3.bias", &[8], &[f32::NAN; 8]),
            "tensor 'model.3.bias' holds a number that is not finite in single precision",
        ),
        (
            network().tensor_of(Dtype::I64, "model.3.bias", &[1], vec![0; 8]),
            "tensor 'model.3.bias' holds I64, expected F32, F64, F16 or BF16",
        ),
        (
            network().tensor("model.3.weight", &[0, 8], &[]),
            "tensor 'model.3.weight' is empty: [0,8]",
        ),
        (
            Model::default().tensor("model.0.weight", &[2, 5], &[0.0; 10]),
            "the last layer has 2 outputs, expected 3 (runtime_ns, cpu_cores, ram_bytes)",
        ),
    ] {
        assert_eq!(refusal(&model), expected);
    }
    let wide = Model::default().tensor("0.weight", &[3, 6], &[0.0; 18]);
    assert!(refusal(&wide).starts_with("the model takes 6 inputs, expected 1 to 5"));
    let narrow = Model::default().tensor("0.weight", &[3, 4], &[0.0; 12]);
    assert!(refusal(&narrow).contains("name them in its order"));
}

#[test]
fn a_missing_layer_or_a_missing_bias() {
    let deep = Model::of(&Network::sample(&[8, 8, 8, 8], 1));
    for (model, expected) in [
        (
            deep.clone().without("model.6.weight").without("model.6.bias"),
            "a layer seems to be missing between 'model.3' and 'model.9'; if not, state \
             hyperfake.layers = 4 in the metadata",
        ),
        (
            deep.clone().metadata("hyperfake.layers", "6"),
            "found 5 layers, but hyperfake.layers in the metadata is '6'",
        ),
        (deep.clone().without("model.6.weight"), "layer 'model.6' has a bias but no weight"),
        (deep.clone().without("model.6.bias"), "some layers have a bias and some have none"),
        (
            deep.without("model.12.weight").without("model.12.bias"),
            "the last layer has 8 outputs, expected 3 (runtime_ns, cpu_cores, ram_bytes)",
        ),
    ] {
        assert_eq!(refusal(&model), expected);
    }
}

#[test]
fn modules_other_than_linear_layers() {
    let norm = network().tensor("model.1.running_mean", &[8], &[0.0; 8]);
    assert_eq!(
        refusal(&norm),
        "tensor 'model.1.running_mean' [8] belongs to no linear layer, and other modules are not \
         supported"
    );
    let two = network().tensor("head.0.weight", &[3, 5], &[0.0; 15]);
    assert_eq!(
        refusal(&two),
        "found layers under 'head', 'model', expected one sequence of layers"
    );
    let other = Model::default().tensor("fc.weight", &[3, 5], &[0.0; 15]);
    assert!(refusal(&other).ends_with("; there are 'fc.weight' [3,5]"));
}

#[test]
fn an_unknown_activation_or_setting() {
    let refused = refusal(&network().metadata("hyperfake.activation", "swish"));
    assert!(
        refused.starts_with("hyperfake.activation: found 'swish', expected one of"),
        "{refused}"
    );
    let refused = refusal(&network().metadata("hyperfake.colour", "red"));
    assert!(refused.contains("unknown setting 'colour'"), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_is_opened_or_refused(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = network().metadata("hyperfake.response", "echo").to_bytes();
        for (index, byte) in damage {
            // Most of the file is weights, of which any are fine.
            let at = index.index(bytes.len().min(800));
            bytes[at] = byte;
        }
        let file = File::of_bytes(&bytes);
        if let Ok(model) = file.open_registered() {
            let _ = model.session().unwrap().predict(&Features::IDLE);
        } else {
            file.refusal();
        }
    }
}
