//! What `call` and `load` send, and how an answer is shown.

use std::{fs, path::PathBuf};

use bytes::Bytes;
use hyperfake_predictor::{Error, Result};

use crate::{
    args::{BodyArgs, LeafArgs},
    client::Method,
    report::Answer,
    schema::{self, Schema, filler},
};

/// A request's data or message.
pub(super) struct Body {
    pub(super) bytes: Bytes,
    /// The method, if a `.proto` file describes it.
    method: Option<schema::Method>,
}

impl Body {
    /// What the options say; if they say nothing, so many bytes.
    pub(super) fn of(args: &BodyArgs, leaf: &LeafArgs, otherwise: usize) -> Result<Self> {
        let method = method(leaf)?;
        let bytes = match (&leaf.json_body, &method, &args.data_file) {
            (Some(json), Some(method), _) => {
                let request = json_text(json).and_then(|json| method.request(&json));
                request.map_err(|error| error.at("--json-body"))?
            }
            (_, _, Some(path)) => fs::read(path).map(Bytes::from).map_err(|error| {
                Error::not_found("cannot read the request's data")
                    .with_source(error)
                    .at(format!("--data-file {}", path.display()))
            })?,
            _ if !args.data.is_empty() => args.data.clone().into(),
            _ => filled(leaf, otherwise),
        };
        Ok(Self { bytes, method })
    }

    /// An answer, as it is shown.
    pub(super) fn show(&self, answer: Bytes) -> Result<Answer> {
        match &self.method {
            Some(method) => method.answer(answer).map(Answer::Json),
            None => Ok(Answer::Bytes(answer)),
        }
    }
}

/// The method of `--method`, if there is a `.proto` file that describes it.
fn method(leaf: &LeafArgs) -> Result<Option<schema::Method>> {
    let Some(name) = &leaf.method else { return Ok(None) };
    let path = Method::path(name)?;
    if leaf.proto.is_empty() {
        return Ok(None);
    }
    let folders = leaf.proto.iter().filter_map(|file| file.parent());
    let folders: Vec<_> =
        leaf.proto_path.iter().cloned().chain(folders.map(PathBuf::from)).collect();
    let schema = Schema::open(&leaf.proto, &folders).map_err(|error| error.at("--proto"))?;
    schema.method(path).map(Some).map_err(|error| error.at("--method"))
}

/// The JSON, or that of the file which is named behind an `@`.
fn json_text(given: &str) -> Result<String> {
    match given.strip_prefix('@') {
        None => Ok(given.to_owned()),
        Some(path) => fs::read_to_string(path)
            .map_err(|error| Error::not_found("cannot read the file").with_source(error).at(path)),
    }
}

/// So many bytes. A method's message has to parse, and a worker's data may be anything.
fn filled(leaf: &LeafArgs, length: usize) -> Bytes {
    let filling = |length| Bytes::from(vec![b'x'; length]);
    match leaf.through {
        None => filling(length),
        Some(_) => filler::of(length, filling),
    }
}
