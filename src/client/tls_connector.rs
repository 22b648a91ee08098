use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::tls::{ClientTls, Protocol};

/// Connects with TLS, whatever the address says. The one of tonic reads PEM itself, and says less of
/// what is wrong with it.
#[derive(Debug, Clone)]
pub(super) struct TlsConnector(ClientTls);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl TlsConnector {
    pub(super) fn new(tls: ClientTls) -> Self {
        Self(tls)
    }
}

impl tower_service::Service<Uri> for TlsConnector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let tls = self.0.clone();
        Box::pin(async move {
            let host = address.host().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let stream = TcpStream::connect((host, address.port_u16().unwrap_or(443))).await?;
            stream.set_nodelay(true)?;
            let connector = tokio_rustls::TlsConnector::from(Arc::new(tls.config(Protocol::Http2)));
            Ok(TokioIo::new(connector.connect(tls.server_name(host)?, stream).await?))
        })
    }
}
