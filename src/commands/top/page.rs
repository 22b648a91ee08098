//! A client of the server's page.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION},
};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use hyperfake_predictor::{Error, Result};
use serde::de::DeserializeOwned;
use url::{Host, Url};

use super::events::{Event, Events};
use crate::{
    report::format,
    tls::{ClientTls, Protocol},
};

/// The page of a server, whose parts are asked for.
#[derive(Debug, Clone)]
pub(super) struct Page {
    address: Url,
    authorization: Option<HeaderValue>,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

/// The longest that an answer, or the next part of a stream, may take. A stream has a part each second.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of an answer, and of an event: several times those of a fleet of 1,000 workers.
const MAX_ANSWER: usize = 4 << 20;

/// Where the page is, as it was typed: `HOST:PORT` or a URL.
///
/// # Errors
///
/// When it is neither.
pub(super) fn address(typed: &str) -> Result<Url> {
    let refused = || {
        let expected = "such as localhost:8990, or a URL such as https://host:8990/";
        Error::invalid(format!("found '{typed}', expected HOST:PORT {expected}")).at("--http")
    };
    let url = match typed.contains("://") {
        true => typed.to_owned(),
        false => {
            // Without a port, a number would be taken for an address.
            let (host, port) = typed.rsplit_once(':').ok_or_else(refused)?;
            port.parse::<u16>().map_err(|_| refused())?;
            format!("http://{}:{port}/", if host.is_empty() { "localhost" } else { host })
        }
    };
    let mut url = Url::parse(&url).map_err(|_| refused())?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || !is_plain {
        return Err(refused());
    }
    // Where a server serves every address, this machine is one of them.
    let here = match url.host() {
        Some(Host::Ipv4(Ipv4Addr::UNSPECIFIED)) => Some("127.0.0.1"),
        Some(Host::Ipv6(Ipv6Addr::UNSPECIFIED)) => Some("[::1]"),
        _ => None,
    };
    if here.is_some() {
        url.set_host(here).map_err(|_| refused())?;
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

impl Page {
    /// A client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When the token cannot be sent.
    pub(super) fn new(address: Url, token: Option<&str>, tls: &ClientTls) -> Result<Self> {
        let authorization = token.map(|token| {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            let message = "found a character that is not ASCII or not visible, expected none";
            value.map_err(|_| Error::invalid(message).at("--http-token"))
        });
        let mut authorization = authorization.transpose()?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        let connector = tls.connector(Protocol::Http1);
        let mut builder = Client::builder(TokioExecutor::new());
        let client = builder.pool_timer(TokioTimer::new()).build(connector);
        Ok(Self { address, authorization, client })
    }

    pub(super) fn address(&self) -> &Url {
        &self.address
    }

    /// What is at this path below the page.
    ///
    /// # Errors
    ///
    /// What is wrong, beginning with the page's address.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let answer = async {
            let body = Limited::new(self.ask(path, "application/json").await?, MAX_ANSWER);
            let body = body.collect().await.map_err(|error| self.failed(root_cause(&*error)))?;
            serde_json::from_slice(&body.to_bytes()).map_err(|error| {
                self.failed(format!("sent something else than /{path} of a worker: {error}"))
            })
        };
        tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(self.slow()))
    }

    /// Opens a stream of events.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub(super) async fn stream(&self, path: &str) -> Result<Stream, String> {
        let body = self.ask(path, "text/event-stream");
        let body = tokio::time::timeout(PATIENCE, body).await.unwrap_or_else(|_| Err(self.slow()));
        Ok(Stream { page: self.clone(), body: body?, events: Events::new(MAX_ANSWER) })
    }

    async fn ask(&self, path: &str, kind: &'static str) -> Result<Incoming, String> {
        let url = self.address.join(path).map_err(|error| self.failed(error))?;
        let mut request = Request::get(url.as_str()).header(ACCEPT, kind);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::new()).map_err(|error| self.failed(error))?;
        let answer = self.client.request(request).await;
        let answer = answer
            .map_err(|error| self.failed(format!("does not answer: {}", root_cause(&error))))?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            StatusCode::UNAUTHORIZED => {
                let found = if self.authorization.is_some() { "another" } else { "a" };
                Err(self.failed(format!("asks for {found} token: expected --http-token TOKEN")))
            }
            other => Err(self.failed(format!("answered {other} to /{path}, expected 200"))),
        }
    }

    fn slow(&self) -> String {
        self.failed(format!("does not answer within {}", format::duration(PATIENCE)))
    }

    /// What was found may be anything that something else than a worker says.
    fn failed(&self, found: impl std::fmt::Display) -> String {
        format!("{} {}", self.address, format::foreign(&found.to_string()))
    }
}

/// A stream of events.
#[derive(Debug)]
pub(super) struct Stream {
    page: Page,
    body: Incoming,
    events: Events,
}

impl Stream {
    /// Waits for the next event.
    ///
    /// # Errors
    ///
    /// When the stream has ended, is no stream of events, or nothing comes.
    pub(super) async fn next(&mut self) -> Result<Event, String> {
        loop {
            if let Some(event) = self.events.next() {
                return Ok(event);
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame());
            let frame = frame.await.map_err(|_| self.page.slow())?;
            let frame = frame.ok_or_else(|| self.page.failed("has ended the stream"))?;
            let frame = frame.map_err(|error| self.page.failed(root_cause(&error)))?;
            if let Ok(bytes) = frame.into_data() {
                self.events.push(&bytes).map_err(|error| self.page.failed(error))?;
            }
        }
    }
}

/// What the operating system said: the last error of a chain.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_where_the_server_says_or_at_a_url() {
        for (typed, expected) in [
            ("localhost:8990", "http://localhost:8990/"),
            (":8990", "http://localhost:8990/"),
            ("0.0.0.0:8990", "http://127.0.0.1:8990/"),
            ("[::]:8990", "http://[::1]:8990/"),
            ("[::1]:1", "http://[::1]:1/"),
            ("https://host:1", "https://host:1/"),
            ("http://proxy/worker-3", "http://proxy/worker-3/"),
        ] {
            assert_eq!(address(typed).unwrap().as_str(), expected, "{typed}");
        }
        for typed in
            ["off", "8990", "localhost", "host:0x1", "ftp://a:1/", "http://u:p@a/", "", "a b:1"]
        {
            let error = address(typed).unwrap_err().to_string();
            assert!(error.starts_with(&format!("--http: found '{typed}', expected")), "{error}");
        }
    }
}
