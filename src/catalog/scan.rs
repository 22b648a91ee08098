use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use hyperfake_predictor::{Error, ErrorKind, ModelUri, Result};

use super::Source;

/// The model files of a folder: every file with one of these extensions, in the order of their
/// names. Hidden files are none, such as the `._echo.onnx` that macOS leaves beside `echo.onnx`;
/// folders inside it are not searched.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn search(folder: &Path, extensions: &BTreeSet<&str>) -> Result<Vec<Source>> {
    let failed = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Unavailable,
        };
        let message = "cannot search the folder for models; name models with -m, or another folder \
                       with --models-dir";
        Error::new(kind, message).with_source(error).at(folder.display())
    };
    let mut files = Vec::<PathBuf>::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let extension = ModelUri::from_path(&path).extension().unwrap_or_default();
        let is_hidden =
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && extensions.contains(extension.as_str()) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files
        .into_iter()
        .map(|path| Source { uri: ModelUri::from_path(path), image: None })
        .collect())
}
