//! A plugin's configuration: a file with one JSON object.

use std::{collections::BTreeMap, ffi::CString, path::Path};

use hyperfake_predictor::{Error, ModelUri, Result, Settings, file};
use serde::de::IgnoredAny;

/// The largest configuration that is read, in bytes: 1 MiB.
pub const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// The text of the configuration that the settings name, or `{}`.
pub(crate) fn read(uri: &ModelUri, settings: &Settings) -> Result<CString> {
    let Some(named) = settings.get("config") else { return Ok(c"{}".to_owned()) };
    let path = uri.locate("config", Path::new(named)).map_err(|error| error.at("config"))?;
    let bytes = file::read(&path, MAX_CONFIG_BYTES).map_err(|error| error.at("config"))?;
    parse(bytes).map_err(|error| error.at(path.display()).at("config"))
}

/// The contract promises the plugin one JSON object in UTF-8 without a zero byte.
pub(crate) fn parse(bytes: Vec<u8>) -> Result<CString> {
    let text = String::from_utf8(bytes).map_err(|_| Error::invalid("not UTF-8"))?;
    serde_json::from_str::<BTreeMap<String, IgnoredAny>>(&text)
        .map_err(|error| Error::invalid("expected a JSON object").with_source(error))?;
    CString::new(text).map_err(|_| Error::invalid("expected no zero byte"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_one_json_object() {
        assert_eq!(parse(b" {\"a\": [1]}\n".to_vec()).unwrap().to_bytes(), b" {\"a\": [1]}\n");
        for (bytes, expected) in [
            (&b"[1]"[..], "expected a JSON object: invalid type: sequence"),
            (b"{\"a\": 1}, {}", "trailing characters at line 1 column 9"),
            (b"{\n\"a\": }", "line 2 column 6"),
            (b"{\"a\": \"\xff\"}", "not UTF-8"),
            (b"{} \0", "expected a JSON object"),
        ] {
            let error = parse(bytes.to_vec()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
