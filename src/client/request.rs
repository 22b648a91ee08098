use std::time::Duration;

use bytes::Bytes;
use http::{Uri, uri::PathAndQuery};
use hyperfake_predictor::{Error, Result};

use crate::wire::controller::trailers::Trailers;

/// A call that is made, again and again.
#[derive(Debug, Clone)]
pub enum Request {
    /// `Call` of the API of 2025, which a worker answers.
    Call {
        /// The id of the function.
        function: String,
        /// The request's data.
        data: Bytes,
    },
    /// Any method, which a leaf passes on to an instance, or an instance answers.
    Method(Method),
}

/// A method of a function, and the message that is sent to it.
#[derive(Debug, Clone)]
pub struct Method {
    /// The scheme and `:authority` of the request.
    pub(super) origin: Uri,
    pub(super) path: PathAndQuery,
    pub(super) message: Bytes,
}

/// What a call that succeeded brought.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What the worker says of the call. Other workers than this program send no trailers at the
    /// addresses of instances.
    pub trailers: Option<Trailers>,
    /// How long it waited before it was sent at last, as an instance had to be started for it.
    pub waited: Duration,
    /// The id of the instance that ran it, if the answer says so.
    pub instance: Option<String>,
    /// The answer's data, or the message as it was sent.
    pub message: Bytes,
}

impl Method {
    /// A call of the method `package.Service/Method` of the function that this authority stands for:
    /// its id to a leaf, anything to an instance.
    ///
    /// # Errors
    ///
    /// When one of the two cannot be in a request; the error says which.
    pub fn new(method: &str, authority: &str, is_tls: bool, message: Bytes) -> Result<Self> {
        let origin = Uri::builder()
            .scheme(if is_tls { "https" } else { "http" })
            .authority(authority)
            .path_and_query("/")
            .build()
            .map_err(|error| {
                let message = format!("found '{authority}', expected a function's id");
                Error::invalid(message).with_source(error).at("--function")
            })?;
        let path = Self::path(method)?;
        let path = PathAndQuery::try_from(format!("/{path}")).map_err(|error| {
            Error::invalid(format!("found '{method}'")).with_source(error).at("--method")
        })?;
        Ok(Self { origin, path, message })
    }

    /// A method's path as it was written, without a slash before it.
    ///
    /// # Errors
    ///
    /// When it is not `package.Service/Method`.
    pub fn path(method: &str) -> Result<&str> {
        let path = method.strip_prefix('/').unwrap_or(method);
        let is_name = |text: &str| {
            let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
            !text.is_empty() && text.chars().all(is_part)
        };
        match path.split_once('/') {
            Some((service, name)) if is_name(service) && is_name(name) => Ok(path),
            _ => {
                let message = format!("found '{method}', expected package.Service/Method");
                Err(Error::invalid(message).at("--method"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_a_service_and_a_name_and_an_authority_is_one_word() {
        let made = Method::new("/a.v1.B/C", "6f1c-a", false, Bytes::new()).unwrap();
        assert_eq!(
            (made.path.as_str(), made.origin.to_string()),
            ("/a.v1.B/C", "http://6f1c-a/".into())
        );
        for text in ["", "/", "a.B", "a.B.C", "a.B/", "/C", "a.B/C/D", "a.B/C?x", "ä.B/C"] {
            let error = Method::new(text, "x", false, Bytes::new()).unwrap_err().to_string();
            let expected = format!("--method: found '{text}', expected package.Service/Method");
            assert_eq!(error, expected);
        }
        for text in ["", "a b", "a/b", "ä"] {
            let error = Method::new("a.B/C", text, true, Bytes::new()).unwrap_err().to_string();
            let expected = format!("--function: found '{text}', expected a function's id");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
