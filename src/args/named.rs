//! The models and images that the words after `-m` name.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use hyperfake_predictor::{Error, ModelUri};

use crate::{
    backends::{self, Choice},
    catalog::Image,
};

/// A model and, if it was named, its image.
pub(super) type Named = (ModelUri, Option<String>);

/// A model as it was typed. What is not UTF-8 can only be a file.
pub(super) fn model_uri(text: OsString) -> Result<ModelUri, Error> {
    match text.into_string() {
        Ok(text) => text.parse(),
        Err(text) => Ok(ModelUri::from_path(text)),
    }
}

/// Tells models and images apart: the first word is a model, and so is each later one that is a file
/// or has the extension of a model. Any other is the image of the model before it.
///
/// # Errors
///
/// For a second image of a model, for a file that could be an image, and for an invalid URI.
pub(super) fn models<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> Result<Vec<Named>, String> {
    let extensions = backends::all(&Choice::default()).extensions();
    let mut named: Vec<Named> = Vec::new();
    for word in words {
        let text = word.to_string_lossy();
        let uri = model_uri(word.to_owned());
        let is_file = uri.as_ref().is_ok_and(|uri| is_file(uri.path()));
        let has_extension = uri.as_ref().is_ok_and(|uri| {
            uri.extension().is_some_and(|extension| extensions.contains(extension.as_str()))
        });
        match named.last_mut() {
            Some((before, image)) if !has_extension && (!is_file || is_image(&text)) => {
                if is_file {
                    return Err(format!(
                        "'{text}' is a file, and could be the image of {before}: write './{text}' \
                         for the file, or 'docker.io/{text}' for the image"
                    ));
                }
                if let Some(image) = image {
                    return Err(format!(
                        "'{text}' is not a model file, and {before} already has the image '{image}'; \
                         expected PATH [IMAGE]"
                    ));
                }
                *image = Some(text.into_owned());
            }
            _ => named.push((uri.map_err(|error| error.to_string())?, None)),
        }
    }
    Ok(named)
}

/// The models of `HYPERFAKE_MODEL`: entries `PATH [IMAGE]` with semicolons between them.
///
/// # Errors
///
/// As [`models`].
pub(super) fn entries(variable: &str) -> Result<Vec<Named>, String> {
    let entries: Vec<_> = match is_model(variable) {
        true => vec![variable],
        false => variable.split(';').collect(),
    };
    let mut named = Vec::new();
    for entry in entries {
        named.extend(models(words(entry.trim()).into_iter().map(OsStr::new))?);
    }
    Ok(named)
}

/// The words of an entry. White space is between them, unless it belongs to the path of a file.
fn words(entry: &str) -> Vec<&str> {
    let ends = |text: &str| -> Vec<usize> {
        let spaces = text.char_indices().filter(|(_, c)| c.is_whitespace());
        spaces.map(|(at, _)| at).chain([text.len()]).collect()
    };
    let mut words = Vec::new();
    let mut rest = entry;
    while !rest.is_empty() {
        let ends = ends(rest);
        let file = ends.iter().rev().find(|end| is_word(&rest[..**end]));
        let (word, behind) = rest.split_at(*file.unwrap_or(&ends[0]));
        words.push(word);
        rest = behind.trim_start();
    }
    if words.iter().any(|word| is_model(word)) {
        return words;
    }
    // The file does not exist: the error should name the whole path.
    let first = entry.split_whitespace().next().unwrap_or_default();
    if Path::new(first).extension().is_some() {
        return entry.split_whitespace().collect();
    }
    match entry.rsplit_once(char::is_whitespace) {
        Some((path, image)) if Path::new(image).extension().is_none() => {
            vec![path.trim_end(), image]
        }
        _ if entry.is_empty() => Vec::new(),
        _ => vec![entry],
    }
}

/// Whether this names an existing file, with parameters that have no white space: an image may follow.
fn is_word(text: &str) -> bool {
    text.parse::<ModelUri>().is_ok_and(|uri| {
        let spaced = |value: &String| value.contains(char::is_whitespace);
        is_file(uri.path()) && !uri.parameters().values().any(spaced)
    })
}

/// Whether this names an existing file, perhaps with parameters.
fn is_model(text: &str) -> bool {
    text.parse::<ModelUri>().is_ok_and(|uri| is_file(uri.path()))
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_dir())
}

/// Whether this could be an image's name; `./a` and `../a` could not.
fn is_image(text: &str) -> bool {
    !text.starts_with('.') && text.parse::<Image>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(named: Result<Vec<Named>, String>) -> Vec<(String, Option<String>)> {
        named.unwrap().into_iter().map(|(uri, image)| (uri.to_string(), image)).collect()
    }

    /// The models that `-m` names with these words.
    fn given(words: &[&str]) -> Result<Vec<Named>, String> {
        models(words.iter().map(OsStr::new))
    }

    fn pairs(expected: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
        let owned =
            |(uri, image): &(&str, Option<&str>)| ((*uri).to_owned(), image.map(str::to_owned));
        expected.iter().map(owned).collect()
    }

    #[test]
    fn a_word_after_a_model_is_its_image_unless_it_is_a_model_itself() {
        for (words, expected) in [
            (&["a.onnx"][..], &[("a.onnx", None)][..]),
            (&["a.onnx", "img:1"], &[("a.onnx", Some("img:1"))]),
            (&["a.onnx", "b.onnx"], &[("a.onnx", None), ("b.onnx", None)]),
            (
                &["a.onnx", "b.JSON?x=y", "ort:c.bin"],
                &[("a.onnx", None), ("b.JSON?x=y", Some("ort:c.bin"))],
            ),
            (
                &["a.onnx", "one", "b.json", "c.so", "three:3"],
                &[("a.onnx", Some("one")), ("b.json", None), ("c.so", Some("three:3"))],
            ),
            (&["weights", "img"], &[("weights", Some("img"))]),
        ] {
            assert_eq!(found(given(words)), pairs(expected), "{words:?}");
        }
        let error = given(&["a.onnx", "b", "c"]).unwrap_err();
        assert!(
            error.contains("'c' is not a model file, and a.onnx already has the image 'b'"),
            "{error}"
        );
    }

    #[test]
    fn a_file_is_a_model_under_any_name_and_an_ambiguous_word_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["README", "plain", "with space.onnx", "a;b.onnx", "what?.onnx"] {
            std::fs::write(path(name), "").unwrap();
        }
        // An absolute path is not an image's name.
        let words = ["a.onnx".to_owned(), path("README")];
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        assert_eq!(found(given(&words)), pairs(&[("a.onnx", None), (words[1], None)]));
        // This one is in the folder in which the tests run, and could be an image.
        let error = given(&["a.onnx", "Cargo.toml"]).unwrap_err();
        let expected = "'Cargo.toml' is a file, and could be the image of a.onnx: write \
                        './Cargo.toml' for the file, or 'docker.io/Cargo.toml' for the image";
        assert_eq!(error, expected);
        let both = found(given(&["a.onnx", "./Cargo.toml", "docker.io/Cargo.toml"]));
        let image = Some("docker.io/Cargo.toml");
        assert_eq!(both, pairs(&[("a.onnx", None), ("./Cargo.toml", image)]));
        // A folder is not a model.
        assert_eq!(found(given(&["a.onnx", "src"])), pairs(&[("a.onnx", Some("src"))]));

        let (space, semicolon) = (path("with space.onnx"), path("a;b.onnx"));
        for (variable, expected) in [
            (format!("{space} img:1"), &[(&*space, Some("img:1"))][..]),
            (format!("{space}; a.onnx  two ;;"), &[(&space, None), ("a.onnx", Some("two"))]),
            (format!("{space} {space}"), &[(&space, None), (&space, None)]),
            (semicolon.clone(), &[(&semicolon, None)]),
            (String::new(), &[]),
            (" ; ".to_owned(), &[]),
            // These files do not exist.
            ("no where.onnx img".to_owned(), &[("no where.onnx", Some("img"))]),
            ("no where.onnx".to_owned(), &[("no where.onnx", None)]),
        ] {
            assert_eq!(found(entries(&variable)), pairs(expected), "{variable}");
        }
        let with_parameters = found(entries(&format!("{space}?response=echo img")));
        assert_eq!(with_parameters, pairs(&[(&format!("{space}?response=echo"), Some("img"))]));
    }
}
