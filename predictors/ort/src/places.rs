use std::{
    cmp::Reverse,
    env::{
        self,
        consts::{DLL_PREFIX, DLL_SUFFIX},
    },
    fs, io,
    path::{Path, PathBuf},
};

/// Where ONNX Runtime is looked for, in the order in which it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display)]
pub enum Place {
    /// The library or folder given with `--ort-lib`. If it is given, no other place counts.
    #[strum(to_string = "--ort-lib")]
    Option,
    /// The library or folder that the environment variable `ORT_DYLIB_PATH` names.
    #[strum(to_string = "ORT_DYLIB_PATH")]
    Variable,
    /// `lib` in the folder of the executable.
    #[strum(to_string = "lib beside the executable")]
    BesideExecutable,
    /// `lib` one folder up from there.
    #[strum(to_string = "lib one folder up from the executable")]
    OneFolderUp,
    /// The package `onnxruntime` of the active Python environment, which `VIRTUAL_ENV` names.
    #[strum(to_string = "VIRTUAL_ENV")]
    VirtualEnvironment,
    /// The search path of the system's loader.
    #[strum(to_string = "the system's loader")]
    System,
}

/// What the search depends on; with it as a value, tests can choose it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    pub(crate) option: Option<PathBuf>,
    pub(crate) variable: Option<PathBuf>,
    pub(crate) executable: Option<PathBuf>,
    pub(crate) virtual_environment: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn of_process(option: Option<&Path>) -> Self {
        // Set to nothing counts as not set.
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            option: option.map(Path::to_owned),
            variable: variable("ORT_DYLIB_PATH").map(Into::into),
            executable: env::current_exe().ok(),
            virtual_environment: variable("VIRTUAL_ENV").map(Into::into),
        }
    }

    /// The places with the libraries in each, or why there is none.
    pub(crate) fn places(&self) -> [(Place, Result<Vec<PathBuf>, Miss>); 6] {
        let named = |path: &Option<PathBuf>, missing| match path {
            Some(path) => file_or_folder(path),
            None => Err(Miss::nowhere(missing)),
        };
        let folder = self.executable.as_deref().and_then(Path::parent);
        let in_lib = |folder: Option<&Path>| match folder {
            Some(folder) => in_folder(&folder.join("lib")),
            None => Err(Miss::nowhere("there is no such folder")),
        };
        [
            (Place::Option, named(&self.option, "not given")),
            (Place::Variable, named(&self.variable, "not set")),
            (Place::BesideExecutable, in_lib(folder)),
            (Place::OneFolderUp, in_lib(folder.and_then(Path::parent))),
            (Place::VirtualEnvironment, self.python_package()),
            (Place::System, Ok(system_names())),
        ]
    }

    fn python_package(&self) -> Result<Vec<PathBuf>, Miss> {
        let Some(root) = &self.virtual_environment else { return Err(Miss::nowhere("not set")) };
        let package = "site-packages/onnxruntime/capi";
        // lib/python3.12/site-packages, or on Windows Lib/site-packages.
        let mut folders = vec![root.join("Lib").join(package)];
        let versions = fs::read_dir(root.join("lib")).into_iter().flatten().flatten();
        folders.extend(versions.map(|version| version.path().join(package)));
        let folder = folders.into_iter().find(|folder| folder.is_dir());
        let missing = || Miss::at(root, "the package onnxruntime is not installed in it");
        in_folder(&folder.ok_or_else(missing)?)
    }
}

/// Why a place has no library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Miss {
    pub(crate) path: Option<PathBuf>,
    pub(crate) reason: String,
}

impl Miss {
    fn nowhere(reason: &str) -> Self {
        Self { path: None, reason: reason.to_owned() }
    }

    fn at(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: Some(path.to_owned()), reason: reason.into() }
    }
}

fn file_or_folder(path: &Path) -> Result<Vec<PathBuf>, Miss> {
    // The search may be repeated in another working directory.
    let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => in_folder(path),
        // The loader would block on a pipe.
        Ok(metadata) if !metadata.is_file() => Err(Miss::at(path, "not a file")),
        Ok(_) => Ok(vec![path.clone()]),
        Err(error) => Err(Miss::at(path, why(&error, "file"))),
    }
}

/// The libraries in a folder, the highest version first.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Miss> {
    let entries = fs::read_dir(folder).map_err(|error| Miss::at(folder, why(&error, "folder")))?;
    let mut libraries: Vec<_> = entries
        .flatten()
        .filter_map(|entry| Some((version(entry.file_name().to_str()?)?, entry.path())))
        .filter(|(_, path)| path.is_file())
        .collect();
    if libraries.is_empty() {
        return Err(Miss::at(folder, format!("no {DLL_PREFIX}onnxruntime{DLL_SUFFIX} in it")));
    }
    libraries.sort_by_key(|(version, _)| Reverse(version.clone()));
    Ok(libraries.into_iter().map(|(_, path)| path).collect())
}

/// The version in a library's name: `libonnxruntime.so.1.32.0`, `libonnxruntime.1.32.0.dylib`;
/// empty for one without.
fn version(name: &str) -> Option<Vec<u32>> {
    let rest = name.strip_prefix(DLL_PREFIX)?.strip_prefix("onnxruntime")?;
    let version = rest.strip_prefix(DLL_SUFFIX).or_else(|| rest.strip_suffix(DLL_SUFFIX))?;
    if version.is_empty() {
        return Some(Vec::new());
    }
    version.strip_prefix('.')?.split('.').map(|number| number.parse().ok()).collect()
}

/// The loader cannot be asked which versions there are, but 1 is what the library calls itself.
fn system_names() -> Vec<PathBuf> {
    let plain = format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}");
    let mut names = vec![plain.clone().into()];
    if cfg!(all(unix, not(target_vendor = "apple"))) {
        names.insert(0, format!("{plain}.1").into());
    }
    names
}

fn why(error: &io::Error, what: &str) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no such {what}"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(folder: &Path, count: &str) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join(format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}{count}"));
        fs::write(&path, "").unwrap();
        path
    }

    #[test]
    fn in_a_folder_the_highest_version_comes_first_and_other_libraries_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let plain = library(folder.path(), "");
        let old = library(folder.path(), ".1.9.12");
        let new = library(folder.path(), ".1.32.0");
        let short = library(folder.path(), ".1");
        library(folder.path(), ".1.99.0.bak");
        fs::write(folder.path().join("libonnxruntime_providers_shared.so"), "").unwrap();
        fs::create_dir(folder.path().join("libonnxruntime.so.2.0.0")).unwrap();
        assert_eq!(in_folder(folder.path()), Ok(vec![new, old, short, plain]));
    }

    #[test]
    fn every_place_is_looked_at_in_the_documented_order() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let [option, variable] = ["a", "b"].map(|name| library(&root.join(name), ""));
        let beside = library(&root.join("bin/lib"), ".1.20.0");
        let above = library(&root.join("lib"), ".1.21.0");
        let capi = "venv/lib/python3.12/site-packages/onnxruntime/capi";
        let python = library(&root.join(capi), ".1.22.0");
        let surroundings = Surroundings {
            option: Some(option.clone()),
            variable: Some(root.join("b")),
            executable: Some(root.join("bin/hyperfake")),
            virtual_environment: Some(root.join("venv")),
        };
        let found: Vec<_> = surroundings.places().into_iter().map(|(_, found)| found).collect();
        let expected = [option, variable, beside, above, python].map(|path| Ok(vec![path]));
        assert_eq!(found[..5], expected);
        let order = surroundings.places().map(|(place, _)| place.to_string()).join(", ");
        assert_eq!(
            order,
            "--ort-lib, ORT_DYLIB_PATH, lib beside the executable, lib one folder up from the \
             executable, VIRTUAL_ENV, the system's loader"
        );
    }

    #[test]
    fn a_place_without_a_library_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let surroundings = Surroundings {
            option: Some(folder.path().join("none.so")),
            executable: Some(folder.path().join("bin/hyperfake")),
            virtual_environment: Some(folder.path().to_owned()),
            ..Surroundings::default()
        };
        let misses: Vec<_> = surroundings
            .places()
            .into_iter()
            .filter_map(|(_, found)| found.err())
            .map(|miss| miss.reason)
            .collect();
        assert_eq!(
            misses,
            [
                "there is no such file",
                "not set",
                "there is no such folder",
                "there is no such folder",
                "the package onnxruntime is not installed in it"
            ]
        );
    }
}
