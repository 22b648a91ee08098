use std::task::{Context, Poll};

use http::{Uri, uri::Scheme};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use tower_service::Service;

use crate::tls::{ClientTls, Protocol};

/// Connects with TLS, whatever the address says: tonic takes no `https://` without a TLS of its own,
/// which says less of what is wrong with a file.
#[derive(Debug, Clone)]
pub(super) struct TlsConnector(HttpsConnector<HttpConnector>);

impl TlsConnector {
    pub(super) fn new(tls: &ClientTls) -> Self {
        Self(tls.connector(Protocol::Http2))
    }
}

impl Service<Uri> for TlsConnector {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = <HttpsConnector<HttpConnector> as Service<Uri>>::Error;
    type Future = <HttpsConnector<HttpConnector> as Service<Uri>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let mut parts = address.clone().into_parts();
        parts.scheme = Some(Scheme::HTTPS);
        self.0.call(Uri::from_parts(parts).unwrap_or(address))
    }
}
