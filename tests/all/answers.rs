//! Answers by method: what the sample functions answer, and what a file of answers may say.
#![allow(clippy::unwrap_used, reason = "the helpers of a test are part of it")]

use std::{fs, path::Path, time::Duration};

use bytes::Bytes;
use hyperfake_worker::answers::{AnswerError, Answers, Outcome};
use proptest::prelude::*;
use prost::{Message, encoding};
use tempfile::TempDir;

fn sample(name: &str) -> Answers {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/functions/answers");
    Answers::open(&folder.join(format!("{name}.json"))).unwrap()
}

struct Answer {
    message: Bytes,
    run_time: Option<Duration>,
    outcome: Outcome,
}

/// Of the only method.
fn answer(answers: &Answers, request: impl Into<Vec<u8>>) -> Answer {
    let (only, request) = (answers.paths().next().unwrap(), Bytes::from(request.into()));
    Answer {
        message: answers.answer(only, &request, 7).unwrap(),
        run_time: answers.run_time(only, &request, 7).unwrap(),
        outcome: answers.outcome(only),
    }
}

/// A message with a field of bytes or text.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    encoding::bytes::encode(number, &bytes.to_vec(), &mut message);
    message
}

/// A message with fields of integers.
fn integers(fields: &[(u32, i64)]) -> Vec<u8> {
    let mut message = Vec::new();
    for (number, value) in fields {
        encoding::int64::encode(*number, value, &mut message);
    }
    message
}

#[derive(Clone, PartialEq, Message)]
struct BfsReply {
    #[prost(int64, repeated, tag = "1")]
    result: Vec<i64>,
}

/// The bytes that HyperFaaS's own functions answer.
#[test]
fn sample_functions_answer_what_the_platforms_own_do() {
    let hello = answer(&sample("hello"), []);
    assert_eq!(hello.message[..], *b"\x0a\x0dHello, World!");
    assert_eq!((hello.run_time, hello.outcome), (None, Outcome::Answer));
    let greeter = sample("greeter");
    assert_eq!(answer(&greeter, field(1, b"Ada")).message, field(1, b"Hello, Ada!"));
    assert_eq!(answer(&greeter, []).message, field(1, b"Hello, world!"));
    let data: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    assert_eq!(answer(&sample("echo"), field(1, &data)).message, field(1, &data));
    let sleep = sample("sleep");
    for (nanos, expected) in [(1_500_000_000, 1500), (0, 0), (-1, 0)] {
        let slept = answer(&sleep, integers(&[(1, nanos)]));
        assert_eq!(slept.run_time, Some(Duration::from_millis(expected)));
        assert_eq!(slept.message, field(1, b"Finished Sleeping"));
    }
    for (size, expected) in [(0, 100), (-3, 100), (5, 10), (10, 10), (2000, 2000)] {
        let message = answer(&sample("bfs"), integers(&[(1, size)])).message;
        let nodes = BfsReply::decode(message).unwrap().result;
        assert_eq!(nodes, (0..expected).collect::<Vec<_>>(), "{size}");
    }
    assert_eq!(answer(&sample("crash"), []).outcome, Outcome::Crash);
}

#[test]
fn the_sample_thumbnailer_answers_a_jpeg_of_the_size_that_was_asked_for() {
    let request = integers(&[(2, 320), (3, 200)]);
    let message = answer(&sample("thumbnailer"), request).message;
    // Field 1, bytes.
    assert_eq!(message[0], 0x0a);
    let start = message.windows(2).position(|bytes| bytes == [0xff, 0xd8]).unwrap();
    let jpeg = &message[start..];
    assert_eq!(jpeg[jpeg.len() - 2..], [0xff, 0xd9]);
    // The frame's header: length, precision, height, width.
    let frame = jpeg.windows(2).position(|bytes| bytes == [0xff, 0xc0]).unwrap();
    assert_eq!(jpeg[frame + 4..frame + 9], [8, 0, 200, 1, 64]);
}

const SCHEMA: &str = r#"
    syntax = "proto3";
    package test;
    enum Colour { UNKNOWN = 0; RED = 1; }
    message Inner { string text = 1; repeated int32 numbers = 2; }
    message Request {
      string text = 1;
      int64 number = 2;
      Inner inner = 3;
      repeated Inner list = 4;
      map<string, int32> map = 5;
      optional int32 maybe = 6;
      bytes data = 7;
    }
    message Reply {
      string text = 1;
      int64 number = 2;
      Inner inner = 3;
      repeated Inner list = 4;
      bool flag = 5;
      bytes data = 6;
      Colour colour = 7;
    }
    service Test { rpc Ask(Request) returns (Reply); rpc Other(Request) returns (stream Reply); }
"#;

/// A folder with the schema above and a file of answers.
fn folder(file: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("test.proto"), SCHEMA).unwrap();
    fs::write(folder.path().join("answers.json"), file).unwrap();
    folder
}

fn open(file: &str) -> Result<Answers, String> {
    let folder = folder(file);
    let path = folder.path().join("answers.json");
    let text = |error: hyperfake_predictor::Error| {
        error.to_string().replace(&format!("{}/", folder.path().display()), "")
    };
    Answers::open(&path).map_err(text)
}

/// A file in which the method `Ask` answers this.
fn asking(answer: &str) -> String {
    format!(r#"{{"proto": "test.proto", "methods": {{"test.Test/Ask": {{"answer": {answer}}}}}}}"#)
}

fn ask(answer: &str, request: impl Into<Vec<u8>>) -> Result<Bytes, AnswerError> {
    let answers = open(&asking(answer)).unwrap();
    let request = Bytes::from(request.into());
    answers.answer("test.Test/Ask", &request, 7)
}

#[test]
fn a_text_that_is_one_expression_is_the_value_of_its_type() {
    let request = [field(1, b"a \"b\" {{ c }}"), integers(&[(2, i64::MAX)])].concat();
    let text = field(1, b"a \"b\" {{ c }}");
    for (answer, expected) in [
        (r#"{"text": "{{ request.text }}"}"#, text.clone()),
        (r#"{"text": "<{{ request.text }}>"}"#, field(1, b"<a \"b\" {{ c }}>")),
        (r#"{"text": "{% if request.number %}yes{% endif %}"}"#, field(1, b"yes")),
        (r#"{"text": "{ \"no\": \"template\" }"}"#, field(1, b"{ \"no\": \"template\" }")),
        (r#"{"number": "{{ request.number }}"}"#, integers(&[(2, i64::MAX)])),
        (r#"{"number": "{{ request.maybe or 3 }}"}"#, integers(&[(2, 3)])),
        (r#"{"flag": "{{ request.number > 1 }}"}"#, integers(&[(5, 1)])),
        (r#"{"colour": "RED", "text": "x"}"#, [field(1, b"x"), integers(&[(7, 1)])].concat()),
        (r#"{"inner": {"text": "{{ request.text }}"}}"#, field(3, &text)),
        (
            r#"{"list": [{}, {"text": "{{ request.text }}"}]}"#,
            [field(4, b""), field(4, &text)].concat(),
        ),
        (r#"{"list": "{{ request.list }}"}"#, vec![]),
        (r#"{"data": "{{ random_bytes(0) }}"}"#, vec![]),
        ("{}", vec![]),
    ] {
        assert_eq!(ask(answer, request.clone()).unwrap(), expected, "{answer}");
    }
    let random = ask(r#"{"data": "{{ random_bytes(1000) }}"}"#, []).unwrap();
    assert_eq!(random.len(), 1003);
    assert_eq!(
        ask(r#"{"data": "{{ random_bytes(1000) }}"}"#, []).unwrap(),
        random,
        "the same bits"
    );
}

#[test]
fn a_method_without_an_answer_answers_an_empty_message() {
    let answers = open(r#"{"proto": "test.proto"}"#).unwrap();
    assert_eq!(answers.paths().collect::<Vec<_>>(), ["test.Test/Ask", "test.Test/Other"]);
    for path in ["test.Test/Ask", "test.Test/Other"] {
        assert_eq!(answers.answer(path, &Bytes::new(), 7).unwrap(), Bytes::new());
        assert_eq!(answers.run_time(path, &Bytes::new(), 7).unwrap(), None);
    }
    let unknown = answers.answer("test.Test/Third", &Bytes::new(), 7);
    assert_eq!(unknown, Err(AnswerError::UnknownMethod("test.Test/Third".into())));
}

#[test]
fn a_descriptor_set_serves_like_its_proto_files() {
    let from_source = open(&asking(r#"{"text": "{{ request.text }}"}"#)).unwrap();
    let file = asking(r#"{"text": "{{ request.text }}"}"#).replace("test.proto", "test.binpb");
    let folder = folder(&file);
    fs::write(folder.path().join("test.binpb"), from_source.descriptors()).unwrap();
    let answers = Answers::open(&folder.path().join("answers.json")).unwrap();
    let answer = answers.answer("test.Test/Ask", &field(1, b"x").into(), 7).unwrap();
    assert_eq!(answer, field(1, b"x"));
}

#[test]
fn a_file_that_makes_no_sense_is_refused_with_the_place() {
    for (file, expected) in [
        ("{", "answers.json: EOF while parsing"),
        ("{}", "answers.json: missing field `proto`"),
        (r#"{"proto": 1}"#, "answers.json: proto: found 1, expected a path or a list of paths"),
        (r#"{"proto": []}"#, "proto: names no file"),
        (r#"{"proto": "test.proto", "method": {}}"#, "unknown field `method`, expected one of"),
        (r#"{"proto": "none.proto"}"#, "proto: none.proto: cannot read the file"),
        (
            r#"{"proto": "answers.json"}"#,
            "answers.json: expected a descriptor set or a .proto file",
        ),
        (
            r#"{"proto": "test.proto", "methods": {"test.Test/Tell": {}}}"#,
            "methods: the schema has no method 'test.Test/Tell'; there are: test.Test/Ask, test.Test/Other",
        ),
        (
            r#"{"proto": "test.proto", "methods": {"test.Test/Ask": {"run_time": "soon"}}}"#,
            "methods: test.Test/Ask: to an empty request the answer cannot be made: run_time: found 'soon'",
        ),
        (
            r#"{"proto": "test.proto", "methods": {"test.Test/Ask": {"outcome": "late"}}}"#,
            "methods.test.Test/Ask.outcome: unknown variant `late`, expected `answer` or `crash`",
        ),
    ] {
        let error = open(file).unwrap_err();
        assert!(error.contains(expected), "{file}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    for (answer, expected) in [
        (r#"{"txet": "a"}"#, "answer: unrecognized field name 'txet'"),
        (
            r#"{"text": "{{ request.txet }}"}"#,
            "answer: text: '{{ request.txet }}' uses 'request.txet': test.Request has no field 'txet'; it has: text, number, inner, list, map, maybe, data",
        ),
        (r#"{"inner": {"text": "{{ request.inner.name }}"}}"#, "answer: inner: text: "),
        (r#"{"text": "{{ name }}"}"#, "uses 'name', expected 'request', 'random' or a function"),
        (r#"{"text": "{{ request.text"}"#, "is no template: "),
        (r#"{"text": "{{ request.text|shout }}"}"#, "filter shout is unknown"),
        (r#"{"number": "{{ request.text }}"}"#, "answer: "),
        (r#"{"text": 1}"#, "answer: "),
        (
            r#"{"data": "{{ random_bytes(5000000) }}"}"#,
            "random_bytes: found 5000000, expected at most 4194304",
        ),
        (r#"{"data": "{{ jpeg(0, 1) }}"}"#, "jpeg: found 0 x 1"),
    ] {
        let error = open(&asking(answer)).unwrap_err();
        assert!(error.contains("answers.json: methods: test.Test/Ask: "), "{answer}: {error}");
        assert!(error.contains(expected), "{answer}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_proto_file_that_does_not_compile_is_refused_with_the_place() {
    let folder = folder(r#"{"proto": "bad.proto"}"#);
    let bad =
        "syntax = \"proto3\";\nmessage A { Missing b = 1; }\nservice S { rpc M(A) returns (A); }\n";
    for (text, expected) in [(bad, "Missing"), ("syntax = ", "bad.proto"), ("", "no service")] {
        fs::write(folder.path().join("bad.proto"), text).unwrap();
        let error = Answers::open(&folder.path().join("answers.json")).unwrap_err().to_string();
        assert!(error.contains("proto: ") && error.contains(expected), "{text}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_request_that_is_no_message_of_the_method_is_refused() {
    let error = ask(r#"{"text": "{{ request.text }}"}"#, [0x0a, 0xff]).unwrap_err();
    assert!(matches!(&error, AnswerError::Request(_)), "{error}");
}

/// One request must neither hold the thread for long nor fill the memory.
#[test]
fn a_template_that_runs_or_grows_without_end_is_stopped() {
    let many = integers(&[(2, 1_000_000_000)]);
    for answer in [
        r#"{"text": "{% for i in range(request.number) %}{% for j in range(request.number) %}{% endfor %}{% endfor %}"}"#,
        r#"{"text": "{% for i in range(request.number) %}0123456789012345678901234567890123456789{% endfor %}"}"#,
        r#"{"text": "{{ 'x' * request.number }}"}"#,
    ] {
        let error = ask(answer, many.clone()).unwrap_err();
        assert!(matches!(&error, AnswerError::Template(_)), "{error}");
    }
    // A macro may call one other.
    let nested = "{% macro a(x) %}{{ x }}{% endmacro %}{% macro b(x) %}{{ a(x) }}{% endmacro %}";
    let two = format!(r#"{{"text": "{nested}{{{{ b(request.text) }}}}"}}"#);
    assert_eq!(ask(&two, field(1, b"deep")).unwrap(), field(1, b"deep"));
    let three = format!(
        r#"{{"text": "{nested}{{% macro c(x) %}}{{{{ b(x) }}}}{{% endmacro %}}{{{{ c(1) if request.text }}}}"}}"#
    );
    assert!(matches!(ask(&three, field(1, b"deep")), Err(AnswerError::Template(_))));
    let few = integers(&[(2, 90_000)]);
    for answer in [
        r#"{"text": "{% for i in range(request.number) %}{{ jpeg(2048, 2048)|length }}{% endfor %}"}"#,
        r#"{"text": "{% macro m(x) %}{{ m(x + x) }}{% endmacro %}{{ m([1, 2]) if request.number }}"}"#,
        r#"{"text": "{% for x in [1] recursive %}{{ loop([x, x] + [x, x]) if request.number }}{% endfor %}"}"#,
    ] {
        let error = ask(answer, few.clone()).unwrap_err();
        assert!(matches!(&error, AnswerError::Template(_)), "{answer}: {error}");
    }
    for (answer, expected) in [
        (r#"{"text": "{% set n = namespace(x=[1]) %}"}"#, "uses 'namespace', expected"),
        (r#"{"text": "{{ [1]|tojson(indent=request.number) }}"}"#, "too many arguments"),
    ] {
        let error = open(&asking(answer)).unwrap_err();
        assert!(error.contains(expected), "{answer}: {error}");
    }
    // A text of 4 MiB and its tag are more than an answer may have.
    let error = ask(r#"{"text": "{{ request.text }}"}"#, field(1, &[b'x'; 4 << 20])).unwrap_err();
    assert!(error.to_string().contains("expected at most 4194304"), "{error}");
}

proptest! {
    /// Whatever a request holds, it is data and never a template or a piece of JSON.
    #[test]
    fn any_text_and_bytes_of_a_request_come_back_as_they_are(
        text in ".*",
        data in prop::collection::vec(any::<u8>(), 0..40),
        number in any::<i64>(),
    ) {
        let answer = r#"{
            "text": "{{ request.text }}", "data": "{{ request.data }}",
            "number": "{{ request.number }}", "inner": {"text": "<{{ request.text }}>"}
        }"#;
        let answers = open(&asking(answer)).unwrap();
        let mut request = field(1, text.as_bytes());
        request.extend(integers(&[(2, number)]));
        request.extend(field(7, &data));
        let found = answers.answer("test.Test/Ask", &request.into(), 7).unwrap();
        let inner = field(1, format!("<{text}>").as_bytes());
        let mut expected = field(1, text.as_bytes());
        if text.is_empty() { expected.clear(); }
        if number != 0 { expected.extend(integers(&[(2, number)])); }
        expected.extend(field(3, &inner));
        if !data.is_empty() { expected.extend(field(6, &data)); }
        prop_assert_eq!(&found[..], &expected[..]);
    }
}
