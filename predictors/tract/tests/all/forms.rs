//! Inputs and outputs in every form, by place and by name.

use hyperfake_predictor::{Backend, ModelUri};
use hyperfake_predictor_testkit::forms::Form;
use hyperfake_predictor_tract::TractBackend;

use crate::file::File;

#[test]
fn every_form_of_inputs_and_outputs_gives_the_same_numbers() {
    for form in Form::all() {
        let file = File::of(&form.model);
        let uri = format!("{}?{}", file.path.display(), form.parameters);
        let opened = TractBackend.open(&uri.parse::<ModelUri>().unwrap());
        let model = opened.unwrap_or_else(|error| panic!("{}: {error}", form.name));
        let answer = model.session().unwrap().predict(&Form::features()).unwrap();
        assert_eq!(answer.to_array(), form.expected, "{}", form.name);
    }
}
