//! What may differ between files: names, columns, number formats, activations, what is left out.

use hyperfake_predictor::{Feature, Features, Range};
use hyperfake_predictor_testkit::reference::Network;
use safetensors::Dtype;

use crate::file::{File, Model};

/// Three outputs, each the sum of its weights times the two inputs; no bias, nothing at the end.
fn tiny(weights: [f32; 6]) -> Model {
    Model::default()
        .tensor("model.0.weight", &[3, 2], &weights)
        .metadata("hyperfake.features", "active_calls,request_bytes")
        .metadata("hyperfake.output_activation", "identity")
}

fn calls(active_calls: f64, request_bytes: f64) -> Features {
    Features { active_calls, request_bytes, ..Features::IDLE }
}

fn answer(model: &Model, features: &Features) -> [f64; 3] {
    File::of(model).predict(features).to_array()
}

#[test]
fn a_model_may_take_fewer_inputs_in_an_order_of_its_own() {
    let file = File::of(&tiny([1.0, 10.0, 2.0, 20.0, 0.5, 0.0]));
    assert_eq!(file.predict(&calls(3.0, 4.0)).to_array(), [43.0, 86.0, 1.5]);
    let model = file.open_registered().unwrap();
    assert_eq!(model.info().inputs, [Feature::ActiveCalls, Feature::RequestBytes]);
    assert_eq!(model.info().trained, []);
}

#[test]
fn inputs_are_scaled_and_outputs_are_scaled_back() {
    let model = tiny([1.0, 0.0, 0.0, 1.0, 1.0, 1.0])
        .tensor("input_mean", &[1, 2], &[1.0, 2.0])
        .tensor("input_scale", &[2], &[2.0, 4.0])
        .tensor("output_scale", &[3], &[10.0, 100.0, 1.0])
        .tensor("output_mean", &[1, 3], &[0.0, 5.0, 0.5]);
    assert_eq!(answer(&model, &calls(5.0, 10.0)), [20.0, 205.0, 4.5]);
}

#[test]
fn mean_and_scale_say_what_the_model_was_trained_on() {
    let model = tiny([1.0; 6]).tensor("input_mean", &[2], &[10.0, 20.0]);
    assert_eq!(File::of(&model).open_registered().unwrap().info().trained, []);
    let file = File::of(&model.tensor("input_scale", &[2], &[1.0, 4.0]));
    let trained = file.open_registered().unwrap().info().trained.clone();
    assert_eq!(trained, [Range::new(5.0, 15.0), Range::new(0.0, 40.0)]);
}

#[test]
fn the_layers_may_be_under_any_prefix_or_none() {
    let network = Network::sample(&[8, 8], 1);
    let expected = answer(&Model::of(&network), &Features::IDLE);
    for prefix in ["", "net.", "module.mlp."] {
        let renamed = Model::of(&network).renamed(|name| name.replace("model.", prefix));
        assert_eq!(answer(&renamed, &Features::IDLE), expected);
    }
}

#[test]
fn layers_are_ordered_by_number_not_by_name() {
    let network = Network::sample(&[8, 7, 6, 5, 4], 1);
    // The last of them is model.15, which as a text comes before model.3.
    let expected = network.predict(&Features::IDLE).runtime_ns;
    let [runtime, ..] = answer(&Model::of(&network), &Features::IDLE);
    assert!((runtime - expected).abs() < 1e-5 * expected, "{runtime}, {expected}");
}

#[test]
fn double_and_half_precision_are_converted() {
    let numbers = [0.5_f32, -2.0, 1.0, 0.25, 3.0, 1.5];
    let expected = answer(&tiny(numbers), &calls(3.0, 4.0));
    let double: Vec<u8> = numbers.iter().flat_map(|n| f64::from(*n).to_le_bytes()).collect();
    // A number without a long fraction is its upper half.
    let brain: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()[2..].to_owned()).collect();
    let half: Vec<u8> = [0x3800_u16, 0xc000, 0x3c00, 0x3400, 0x4200, 0x3e00]
        .iter()
        .flat_map(|n| n.to_le_bytes())
        .collect();
    for (dtype, bytes) in [(Dtype::F64, double), (Dtype::BF16, brain), (Dtype::F16, half)] {
        let model = tiny(numbers).tensor_of(dtype, "model.0.weight", &[3, 2], bytes);
        assert_eq!(answer(&model, &calls(3.0, 4.0)), expected, "{dtype}");
    }
}

#[test]
fn activations_are_those_that_the_metadata_names() {
    // One hidden unit, active_calls - 4, goes to all outputs.
    let model = |hidden: &str, last: &str| {
        Model::default()
            .tensor("model.0.weight", &[1, 1], &[1.0])
            .tensor("model.0.bias", &[1], &[-4.0])
            .tensor("model.2.weight", &[3, 1], &[1.0, 2.0, -1.0])
            .tensor("model.2.bias", &[3], &[0.0; 3])
            .metadata("hyperfake.features", "active_calls")
            .metadata("hyperfake.activation", hidden)
            .metadata("hyperfake.output_activation", last)
    };
    assert_eq!(answer(&model("relu", "identity"), &calls(1.0, 0.0)), [0.0; 3]);
    assert_eq!(answer(&model("identity", "identity"), &calls(1.0, 0.0)), [-3.0, -6.0, 3.0]);
    assert_eq!(answer(&model("identity", "relu"), &calls(1.0, 0.0)), [0.0, 0.0, 3.0]);
    let [tanh, ..] = answer(&model("tanh", "identity"), &calls(1.0, 0.0));
    assert!((tanh - (-3.0_f64).tanh()).abs() < 1e-6);
    let [softplus, large, _] = answer(&model("relu", "softplus"), &calls(5.0, 0.0));
    assert!((softplus - 1.0_f64.exp().ln_1p()).abs() < 1e-6);
    assert!((large - 2.0_f64.exp().ln_1p()).abs() < 1e-6);
    assert_eq!(answer(&model("relu", "softplus"), &calls(1e6 + 4.0, 0.0))[0], 1e6);
}

#[test]
fn settings_in_the_metadata_are_handed_on_and_the_rest_is_not() {
    let model = tiny([1.0; 6])
        .metadata("hyperfake.response", "echo")
        .metadata("hyperfake.activation", "tanh")
        .metadata("hyperfake.layers", "1")
        .metadata("format", "pt");
    let info = File::of(&model).open_registered().unwrap().info().clone();
    let settings: Vec<_> = info.settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(settings, [("features", "active_calls,request_bytes"), ("response", "echo")]);
    assert_eq!((info.backend, info.deterministic), ("candle", true));
}

#[test]
fn a_gap_between_layers_is_possible_when_their_number_is_stated() {
    let network = Network::sample(&[8, 8, 8], 1);
    let model = Model::of(&network).renamed(|name| name.replace("model.9.", "model.12."));
    assert!(File::of(&model).refusal().contains("state hyperfake.layers = 4"));
    let stated = model.metadata("hyperfake.layers", "4");
    assert_eq!(answer(&stated, &Features::IDLE), answer(&Model::of(&network), &Features::IDLE));
}
