use std::path::{Path, PathBuf};

use bytes::Bytes;
use hyperfake_predictor::{Error, Result};
use prost_reflect::{DescriptorPool, MethodDescriptor};

use super::file;

/// The messages and services of an answers file.
#[derive(Debug)]
pub(super) struct Schema(DescriptorPool);

impl Schema {
    /// Compiles `.proto` files, or reads one descriptor set.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or does not compile, and when it has no service.
    pub(super) fn open(files: Vec<PathBuf>, include: &[PathBuf]) -> Result<Self> {
        let is_source =
            |path: &Path| path.extension().is_some_and(|extension| extension == "proto");
        let pool = match &files[..] {
            [] => {
                return Err(Error::invalid(
                    "names no file, expected a .proto file or a descriptor set",
                ));
            }
            [set] if !is_source(set) => {
                let bytes = file::read(set)?;
                DescriptorPool::decode(&bytes[..]).map_err(|error| {
                    let message = format!("expected a descriptor set or a .proto file: {error}");
                    Error::invalid(message).at(set.display())
                })?
            }
            files => compile(files, include)?,
        };
        if pool.services().len() == 0 {
            return Err(Error::invalid("there is no service in it, expected one at least"));
        }
        Ok(Self(pool))
    }

    pub(super) fn methods(&self) -> impl Iterator<Item = MethodDescriptor> {
        self.0.services().flat_map(|service| service.methods().collect::<Vec<_>>())
    }

    pub(super) fn encoded(&self) -> Bytes {
        self.0.encode_to_vec().into()
    }
}

fn compile(files: &[PathBuf], include: &[PathBuf]) -> Result<DescriptorPool> {
    let invalid = |error: &protox::Error| {
        // Of several lines, the first says what is wrong.
        let text = format!("{error:?}");
        let text = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
        Error::invalid(format!("does not compile: {text}"))
    };
    let mut compiler = protox::Compiler::new(include).map_err(|error| invalid(&error))?;
    for path in files {
        // What protox reads is bounded by this look.
        file::read(path)?;
        compiler.open_file(path).map_err(|error| invalid(&error).at(path.display()))?;
    }
    Ok(compiler.include_imports(true).descriptor_pool())
}
