//! A URI is refused in one line, or it means the same after it was printed.

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

    // Nothing of the text is lost: the pieces have its length, with the marks between them.
    let marks = usize::from(uri.scheme().is_some())
        + usize::from(uri.name().is_some())
        + 2 * uri.parameters().len();
    let pieces = uri.scheme().map_or(0, str::len)
        + uri.path().as_os_str().len()
        + uri.name().map_or(0, str::len)
        + uri.parameters().iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    assert_eq!(pieces + marks, text.len());
    assert!(!uri.path().as_os_str().is_empty());
    assert!(uri.parameters().keys().all(|key| !key.is_empty()));
    if let Some(extension) = uri.extension() {
        assert!(!extension.contains('/'));
    }
}
