use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use hyperfake_predictor::{Error, Result};

use crate::{
    args::MeasuredCallArgs,
    client::Method,
    schema::{Schema, filler},
};

/// The largest body, in bytes: the most that a worker takes unless it is told otherwise.
const LARGEST: u64 = 4 << 20;

/// What the options say that calls carry.
pub(in crate::commands) fn bodies(args: &MeasuredCallArgs, is_http: bool) -> Result<Vec<Bytes>> {
    if !args.json_body.is_empty() {
        return json(args);
    }
    if !args.data_file.is_empty() {
        let read = |path: &PathBuf| {
            fs::read(path)
                .map(Bytes::from)
                .map_err(|error| unreadable(path, error).at("--data-file"))
        };
        return args.data_file.iter().map(read).collect();
    }
    if !args.proto.is_empty() {
        let message = "has no use without --json-body";
        return Err(Error::invalid(message).at("--proto"));
    }
    let mut random = fastrand::Rng::with_seed(args.seed);
    let body = |size: &bytesize::ByteSize| {
        let bytes = size.as_u64();
        if bytes > LARGEST {
            let message = format!("found {size}, expected at most {}", bytesize::ByteSize(LARGEST));
            return Err(Error::invalid(message).at("--sizes"));
        }
        let mut text = |length| text(length, &mut random);
        Ok(if is_http { text(bytes as usize) } else { filler::of(bytes as usize, text) })
    };
    args.sizes.iter().map(body).collect()
}

/// Letters about as frequent as in English, so that a function which compresses has something to do.
fn text(length: usize, random: &mut fastrand::Rng) -> Bytes {
    const LETTERS: &[u8] = b"    eeeeetttaaaooiinnsshrrdlucmfwypgbvk";
    (0..length).map(|_| LETTERS[random.usize(..LETTERS.len())]).collect()
}

fn json(args: &MeasuredCallArgs) -> Result<Vec<Bytes>> {
    let path = Method::path(&args.method)?;
    let folders = args.proto.iter().filter_map(|file| file.parent());
    let folders: Vec<_> =
        args.proto_path.iter().cloned().chain(folders.map(PathBuf::from)).collect();
    let schema = Schema::open(&args.proto, &folders).map_err(|error| error.at("--proto"))?;
    let method = schema.method(path).map_err(|error| error.at("--method"))?;
    let body = |given: &String| {
        let text = match given.strip_prefix('@') {
            None => Ok(given.clone()),
            Some(path) => {
                fs::read_to_string(path).map_err(|error| unreadable(Path::new(path), error))
            }
        };
        text.and_then(|text| method.request(&text)).map_err(|error| error.at("--json-body"))
    };
    args.json_body.iter().map(body).collect()
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::not_found("cannot read the file").with_source(error).at(path.display())
}
