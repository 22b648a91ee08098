//! A URI is refused in one line, or it means the same after it was printed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use hyperfake_predictor::ModelUri;

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let uri = match text.parse::<ModelUri>() {
        Ok(uri) => uri,
        Err(error) => {
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
            return;
        }
    };
    let printed = uri.to_string();
    assert_eq!(printed.parse::<ModelUri>().unwrap(), uri, "printed as {printed:?}");

    assert!(!uri.path().as_os_str().is_empty());
    assert!(uri.parameters().keys().all(|key| !key.is_empty()));
    if let Some(extension) = uri.extension() {
        assert!(!extension.contains('/'));
    }
}
