//! The functions that `call` and `load` call through a leaf, or at an instance's own address.

use std::time::Duration;

use bytes::Bytes;
use hyperfake_predictor::Result;

use super::function;
use crate::{
    args::LeafArgs,
    client::{Method, Target},
};

/// How long a leaf may not know a function that was registered a moment ago.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A function, and its method.
pub(super) struct Function {
    /// What it was registered with, if it was registered here.
    pub(super) image: Option<String>,
    /// Its id, or what else calls carry as `:authority`.
    pub(super) id: String,
    pub(super) method: Method,
}

/// The functions that the options name: those of the images, which are registered in etcd, or those of
/// the ids, or the one that an instance is.
pub(super) async fn functions(
    leaf: &LeafArgs,
    images: &[String],
    target: &Target,
    message: &Bytes,
) -> Result<Vec<Function>> {
    let mut named = Vec::new();
    for image in images {
        named.push((Some(image.clone()), function::register(image, &leaf.etcd).await?));
    }
    named.extend(leaf.function.iter().map(|id| (None, id.clone())));
    if named.is_empty() {
        let uri = target.uri()?;
        let address = uri.authority().map(|address| address.as_str());
        named.push((None, address.unwrap_or_default().to_owned()));
    }
    let name = leaf.method.as_deref().unwrap_or_default();
    let function = |(image, id): (Option<String>, String)| {
        let method = Method::new(name, &id, target.tls.is_some(), message.clone())?;
        Ok(Function { image, id, method })
    };
    named.into_iter().map(function).collect()
}
