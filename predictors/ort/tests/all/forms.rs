//! Inputs and outputs in every form, by place and by name.

use hyperfake_predictor::{Backend, ModelUri};
use hyperfake_predictor_ort::OrtBackend;
use hyperfake_predictor_testkit::forms::Form;

use crate::file::{File, runtime};

#[test]
fn every_form_of_inputs_and_outputs_gives_the_same_numbers() {
    if runtime("every_form_of_inputs_and_outputs_gives_the_same_numbers").is_none() {
        return;
    }
    for form in Form::all() {
        let file = File::of(&form.model);
        let uri = format!("{}?{}", file.path.display(), form.parameters);
        let opened = OrtBackend::default().open(&uri.parse::<ModelUri>().unwrap());
        let model = opened.unwrap_or_else(|error| panic!("{}: {error}", form.name));
        let answer = model.session().unwrap().predict(&Form::features()).unwrap();
        assert_eq!(answer.to_array(), form.expected, "{}", form.name);
    }
}
