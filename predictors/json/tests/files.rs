//! Model files from outside: opened, refused, and chosen by image.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::{fs, sync::Arc};

use hyperfake_predictor::{
    Backend, Backends, ErrorKind, Feature, Features, ModelUri, Range, RawPrediction, Uniforms,
    Units,
};
use hyperfake_predictor_json::{JsonBackend, MAX_FILE_BYTES};
use proptest::prelude::*;
use tempfile::{NamedTempFile, TempDir};

const MAP: &str = r#"{
  "a:1": {"kind": "constant", "response": "echo", "runtime_ns": 1, "cpu_cores": 1, "ram_bytes": 1},
  "b:1": {"kind": "constant", "runtime_ns": 2, "cpu_cores": 1, "ram_bytes": 1}
}"#;

const SINGLE: &str = r#"{"kind": "linear", "features": ["active_calls", "request_bytes"],
  "image": "a:1", "response": "random:10", "cold_start": "250ms",
  "runtime_ns": {"active_calls": 3}, "cpu_cores": {"intercept": -1}, "ram_bytes": {}}"#;

const HYPERFAAS: &str = r#"{"a:1": {"image_tag": "a:1", "runtime_coeffs": [0, 0, 0.5, 0, 0, 2],
  "cpu_coeffs": [0, 0, 0, 0, 0, 0.5], "ram_coeffs": [0, 0, 0, 0, 0, 8e6],
  "sample_count": 9, "runtime_r2": 0.5, "cpu_r2": -3, "ram_r2": 1}}"#;

const QUANTILES: &str = r#"{"kind": "quantiles", "features": ["active_calls"], "bins": [[0, 4, 9]],
  "levels": [0.1, 0.9], "runtime_ns": [[1, 2], [3, 4]], "cpu_cores": 1, "ram_bytes": [[5, 6], [7, 8]]}"#;

struct File(TempDir);

impl File {
    fn new(content: impl AsRef<[u8]>) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("model.json"), content).unwrap();
        Self(folder)
    }

    /// The file, with a name behind it such as `#image`.
    fn uri(&self, name: &str) -> ModelUri {
        format!("{}{name}", self.0.path().join("model.json").display()).parse().unwrap()
    }

    fn images(&self, name: &str) -> Vec<Option<String>> {
        let opened = JsonBackend.open_all(&self.uri(name)).unwrap();
        opened.into_iter().map(|opened| opened.image).collect()
    }

    fn runtime_ns(&self, name: &str) -> f64 {
        let model = JsonBackend.open(&self.uri(name)).unwrap();
        model.session().unwrap().predict(&Features::IDLE).unwrap().runtime_ns
    }

    /// The error without the path that it begins with, which is checked.
    fn refusal(&self, name: &str) -> (ErrorKind, String) {
        let uri = self.uri(name);
        let error = JsonBackend.open(&uri).unwrap_err();
        let text = error.to_string();
        assert!(!text.contains('\n'), "{text}");
        let rest = text.strip_prefix(&format!("{}: ", uri.path().display()));
        (error.kind(), rest.expect(&text).to_owned())
    }
}

#[test]
fn a_map_gives_each_image_its_model() {
    let file = File::new(MAP);
    assert_eq!(file.images(""), [Some("a:1".to_owned()), Some("b:1".to_owned())]);
    assert_eq!(file.images("#b:1"), [Some("b:1".to_owned())]);
    assert_eq!((file.runtime_ns("#a:1"), file.runtime_ns("#b:1")), (1.0, 2.0));
}

#[test]
fn a_map_without_a_name_or_with_a_wrong_one_lists_its_images() {
    let file = File::new(MAP);
    let (kind, text) = file.refusal("");
    assert_eq!(kind, ErrorKind::Invalid);
    assert_eq!(text, "the file holds several models, pick one with '#image': a:1, b:1");
    let (kind, text) = file.refusal("#c:1");
    assert_eq!(kind, ErrorKind::NotFound);
    assert_eq!(text, "the file has no model of image 'c:1', it holds a:1, b:1");
}

#[test]
fn a_map_of_one_image_needs_no_name() {
    let file = File::new(HYPERFAAS);
    // In the milliseconds of the file.
    assert_eq!(file.runtime_ns(""), 2.0);
    assert_eq!(file.images(""), [Some("a:1".to_owned())]);
}

/// Right: 0.00001 x 1000 bytes + 0.5 x 1 instance + 2 = 2.51 ms.
#[test]
fn a_stated_unit_is_the_unit_of_the_file_and_nothing_is_converted_twice() {
    let file = File::new(
        r#"{"a:1": {"runtime_coeffs": [0.00001, 0.5, 0.05, 0, 0, 2],
            "cpu_coeffs": [0, 0, 0, 0, 0, 48], "ram_coeffs": [2, 0, 0, 0, 0, 7900000]}}"#,
    );
    let backends = Backends::new([Arc::new(JsonBackend) as Arc<dyn Backend>]);
    let ask = |query: &str| {
        let loaded = backends.open(&file.uri(query)).unwrap();
        let features = Features { request_bytes: 1000.0, ..Features::IDLE };
        let answer = loaded.models[0].predictor.session().unwrap().predict(&features).unwrap();
        [answer.runtime_ns.round(), answer.cpu_cores, answer.ram_bytes]
    };
    let in_ms = [2_510_000.0, 48.0, 7_902_000.0];
    assert_eq!(ask(""), in_ms);
    assert_eq!(ask("?runtime_unit=ms"), in_ms);
    assert_eq!(ask("?runtime_unit=us"), [2510.0, 48.0, 7_902_000.0]);
    assert_eq!(ask("?cpu_unit=percent"), [2_510_000.0, 0.48, 7_902_000.0]);
    assert_eq!(ask("?cpu_unit=percent&runtime_unit=ms"), [2_510_000.0, 0.48, 7_902_000.0]);
}

/// 1 and 0 request bytes are the same share of 1.7e308.
#[test]
fn a_row_of_a_table_answers_also_where_another_is_as_near_by_rounding() {
    for interpolation in ["nearest", "inverse-distance"] {
        let file = File::new(format!(
            r#"{{"kind": "table", "features": ["request_bytes", "active_calls"],
                "interpolation": "{interpolation}",
                "rows": [[1, 0, 10, 1, 5], [0, 1.7e308, 30, 1, 5], [1, 1, 50, 2, 5]]}}"#
        ));
        let mut session = JsonBackend.open(&file.uri("")).unwrap().session().unwrap();
        for (calls, expected) in [(0.0, [10.0, 1.0, 5.0]), (1.0, [50.0, 2.0, 5.0])] {
            let features = Features { request_bytes: 1.0, active_calls: calls, ..Features::IDLE };
            let answer = session.predict(&features).unwrap().to_array();
            assert_eq!(answer, expected, "{interpolation}");
        }
    }
}

#[test]
fn a_single_model_may_name_its_image() {
    let file = File::new(SINGLE);
    assert_eq!(file.images(""), [Some("a:1".to_owned())]);
    assert_eq!(file.images("#a:1"), [Some("a:1".to_owned())]);
    assert!(file.refusal("#b:1").1.ends_with("it holds a:1"));

    let file = File::new(SINGLE.replace(r#""image": "a:1","#, ""));
    assert_eq!(file.images(""), [None]);
    assert!(file.refusal("#a:1").1.ends_with("it holds one model that names no image"));
}

#[test]
fn a_model_says_what_it_takes_in_which_units_and_how_it_should_be_served() {
    let file = File::new(SINGLE);
    let model = JsonBackend.open(&file.uri("")).unwrap();
    let info = model.info();
    assert_eq!(info.path, file.uri("").path());
    assert_eq!(info.backend, "json");
    assert_eq!(info.inputs, [Feature::ActiveCalls, Feature::RequestBytes]);
    assert_eq!(info.units, Units::NATIVE);
    let settings: Vec<_> = info.settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(settings, [("cold_start", "250ms"), ("response", "random:10")]);

    let model = JsonBackend.open(&File::new(HYPERFAAS).uri("")).unwrap();
    assert_eq!(model.info().inputs, Feature::ALL);
    assert_eq!(model.info().units, Units::MILLISECONDS);
    assert!(!model.info().knows_distributions);

    let model = JsonBackend.open(&File::new(QUANTILES).uri("")).unwrap();
    assert_eq!(model.info().inputs, [Feature::ActiveCalls]);
    assert_eq!(model.info().trained, [Range::new(0.0, 9.0)]);
    assert!(model.info().knows_distributions);
}

/// Right: 1 ms to 4 ms at the levels 0 and 1, so 2 ms at 0.5, and 3 / ln 4 ms on average.
#[test]
fn draws_and_quantiles_are_in_the_stated_units() {
    let file = File::new(
        r#"{"kind": "quantiles", "levels": [0, 1], "runtime_ns": [[1, 4]], "cpu_cores": 50}"#,
    );
    let backends = Backends::new([Arc::new(JsonBackend) as Arc<dyn Backend>]);
    let loaded = backends.open(&file.uri("?runtime_unit=ms&cpu_unit=percent")).unwrap();
    let mut session = loaded.models[0].predictor.session().unwrap();
    let uniforms = Uniforms { run_time: 0.5, cpu: 0.0, ram: 0.0 };
    let drawn = session.draw(&Features::IDLE, &uniforms).unwrap();
    assert_eq!((drawn.runtime_ns.round(), drawn.cpu_cores, drawn.ram_bytes), (2e6, 0.5, 0.0));
    let mut quantiles = [RawPrediction::default(); 3];
    session.quantiles(&Features::IDLE, &[0.0, 0.5, 1.0], &mut quantiles).unwrap();
    assert_eq!(quantiles.map(|quantile| quantile.runtime_ns.round()), [1e6, 2e6, 4e6]);
    let mean = session.predict(&Features::IDLE).unwrap().runtime_ns;
    assert!((mean - 3e6 / 4.0_f64.ln()).abs() < 1.0, "{mean}");
}

#[test]
fn the_levels_of_a_json_model_are_in_the_file_alone() {
    let uri = File::new(QUANTILES);
    let error = JsonBackend.open(&uri.uri("?quantiles=0.1,0.9")).unwrap_err().to_string();
    let expected = "quantiles: a JSON model states its levels itself, in its field 'levels'";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn a_file_that_is_no_model_is_refused_in_one_line_that_says_where() {
    let deep = "[".repeat(1 << 20);
    let deep_in_a_field = format!("{{\n\"kind\": {deep}{}}}", "]".repeat(deep.len()));
    for (content, expected) in [
        (&b""[..], "the file is empty"),
        (b" \n ", "line 2: the file ends too early"),
        (b"{\n\"kind\": \"const", "line 2: the file ends too early"),
        (deep.as_bytes(), "line 1: the file ends too early"),
        (deep_in_a_field.as_bytes(), "kind: found a list, expected a string"),
        (b"\xEF\xBB\xBF{}", "line 1: the file starts with a byte order mark; save it as UTF-8"),
        (b"\xFF\xFE{\0}\0", "line 1: this is not UTF-8"),
        (b"{\n\n\"a\": \"\xFF\"}", "line 3: this is not UTF-8"),
        (b"\x08\x07\x12\x07pytorch", "line 1: expected value"),
        (b"null", "found null, expected an object"),
        (b"{}\n{}", "line 2: trailing characters"),
        (b"{\n\"kind\": NaN}", "line 2: 'NaN' is not a number in JSON"),
        (b"{\n\"kind\": \"constant\",\n\"kind\": 1}", "'kind' is given twice"),
        (b"{\n\"a\": {},\n\"a\": {}}", "'a' is given twice"),
        (
            b"{\"kind\": \"linear\",\n\"response\": 5}",
            "response: found integer '5', expected a string",
        ),
    ] {
        let (kind, text) = File::new(content).refusal("");
        assert_eq!(kind, ErrorKind::Invalid);
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn a_file_of_two_gigabytes_is_refused_unread() {
    let file = NamedTempFile::new().unwrap();
    file.as_file().set_len(2 << 30).unwrap();
    let error = JsonBackend.open(&ModelUri::from_path(file.path())).unwrap_err().to_string();
    assert!(error.contains(&format!("at most {MAX_FILE_BYTES} are read")), "{error}");
}

proptest! {
    #[test]
    fn a_file_of_any_bytes_is_opened_or_refused(content in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = JsonBackend.open_all(&File::new(content).uri(""));
    }

    #[test]
    fn a_good_file_with_one_byte_changed_is_opened_or_refused(
        content in prop::sample::select(vec![MAP, SINGLE, HYPERFAAS, QUANTILES]),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut content = content.as_bytes().to_vec();
        let place = place.index(content.len());
        content[place] = byte;
        let _ = JsonBackend.open_all(&File::new(content).uri(""));
    }
}
