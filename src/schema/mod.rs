//! Messages and methods that are known only when the program runs: those of `.proto` files, which are
//! compiled here, without protoc, or of a descriptor set; and messages of a given length that parse as
//! any type.

mod file;
pub(crate) mod filler;
mod method;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use hyperfake_predictor::{Error, Result};
use prost_reflect::{DescriptorPool, MethodDescriptor};

pub(crate) use self::file::read;
pub use self::method::Method;

/// Messages and services.
#[derive(Debug)]
pub struct Schema(DescriptorPool);

impl Schema {
    /// Compiles `.proto` files, or reads one descriptor set. Imports are searched for in the folders of
    /// `include`, and each file is in one of these.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or does not compile, and when it has no service.
    pub fn open(files: &[PathBuf], include: &[PathBuf]) -> Result<Self> {
        let is_source =
            |path: &Path| path.extension().is_some_and(|extension| extension == "proto");
        let pool = match files {
            [] => {
                return Err(Error::invalid(
                    "names no file, expected a .proto file or a descriptor set",
                ));
            }
            [set] if !is_source(set) => {
                let bytes = read(set)?;
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

    /// The method of this path, `package.Service/Method`.
    ///
    /// # Errors
    ///
    /// When there is none; the error lists those that there are.
    pub fn method(&self, path: &str) -> Result<Method> {
        let mut methods = self.methods();
        let found = methods.find(|method| self::path(method) == path);
        found.map(Method::new).ok_or_else(|| {
            let there_are: Vec<_> = self.methods().map(|method| self::path(&method)).collect();
            let there_are = there_are.join(", ");
            Error::invalid(format!("the schema has no method '{path}'; there are: {there_are}"))
        })
    }

    pub(crate) fn methods(&self) -> impl Iterator<Item = MethodDescriptor> {
        self.0.services().flat_map(|service| service.methods().collect::<Vec<_>>())
    }

    pub(crate) fn encoded(&self) -> Bytes {
        self.0.encode_to_vec().into()
    }
}

/// `package.Service/Method`
pub(crate) fn path(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().full_name(), method.name())
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
        read(path)?;
        compiler.open_file(path).map_err(|error| invalid(&error).at(path.display()))?;
    }
    Ok(compiler.include_imports(true).descriptor_pool())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
        syntax = "proto3";
        package test.v1;
        message Ask { string name = 1; repeated int32 numbers = 2; Ask inner = 3; bytes data = 4; }
        message Reply { int64 duration_nanos = 1; }
        service Test { rpc First(Ask) returns (Reply); rpc Second(Ask) returns (Reply); }
    "#;

    fn first() -> Method {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("test.proto");
        std::fs::write(&file, SOURCE).unwrap();
        let schema = Schema::open(&[file], &[folder.path().to_owned()]).unwrap();
        let error = schema.method("test.v1.Test/Third").unwrap_err().to_string();
        let expected = "the schema has no method 'test.v1.Test/Third'; there are: \
                        test.v1.Test/First, test.v1.Test/Second";
        assert_eq!(error, expected);
        schema.method("test.v1.Test/First").unwrap()
    }

    #[test]
    fn json_becomes_the_methods_request_and_its_answer_becomes_json() {
        let method = first();
        let request = method.request(r#"{"name": "Ada", "numbers": [1, "2"]}"#).unwrap();
        assert_eq!(request[..], *b"\x0a\x03Ada\x12\x02\x01\x02");
        assert_eq!(method.request("{}").unwrap(), Bytes::new());
        let answer = method.answer(Bytes::from_static(b"\x08\x05")).unwrap();
        assert_eq!(answer.to_string(), r#"{"durationNanos":"5"}"#);
        let error = method.answer(Bytes::from_static(b"\x08")).unwrap_err().to_string();
        assert!(error.starts_with("the answer is no message of type test.v1.Reply"), "{error}");
    }

    #[test]
    fn json_that_does_not_fit_is_refused_with_the_field() {
        let method = first();
        for (json, expected) in [
            (r#"{"nme": "Ada"}"#, "this is no test.v1.Ask: unrecognized field name 'nme'"),
            (r#"{"name": 5}"#, "name: this is no test.v1.Ask: invalid type"),
            (r#"{"numbers": [1, 4294967296]}"#, "numbers[1]: this is no test.v1.Ask"),
            (r#"{"inner": {"inner": {"data": "%"}}}"#, "inner.inner.data: this is no test.v1.Ask"),
            (r#"{"name": "#, "this is no test.v1.Ask: EOF"),
            ("{} {}", "this is no test.v1.Ask: trailing characters"),
            ("[]", "this is no test.v1.Ask: invalid type"),
            ("", "this is no test.v1.Ask: EOF"),
        ] {
            let error = method.request(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
