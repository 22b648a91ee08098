use std::time::Duration;

use bytes::Bytes;
use http::{Request as HttpRequest, StatusCode, Uri, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use hyperfake_predictor::{Error, Result};
use tonic::Code;

use super::Protocol;
use crate::{
    client::{Connection, Method, Request, Target},
    clock::Clock,
    report::format,
};

/// Calls a function at one address.
pub(super) enum Caller {
    Grpc { connection: Connection, requests: Vec<Request> },
    Http(Box<Http>),
}

pub(super) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
    bodies: Vec<Bytes>,
    max_bytes: usize,
    clock: Clock,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) code: Code,
    /// What went wrong; empty if nothing did.
    pub(super) text: String,
    /// The instance that ran it, if the answer says so.
    pub(super) instance: Option<String>,
}

impl Caller {
    /// Connects.
    pub(super) async fn open(
        target: &Target,
        protocol: &Protocol,
        bodies: &[Bytes],
        clock: &Clock,
    ) -> Result<Self> {
        let uri = target.uri()?;
        let requests = match protocol {
            Protocol::Http { path } => {
                if target.tls.is_some() {
                    let message = format!("found '{}', expected http://", target.address);
                    return Err(Error::unsupported(message).at("--target"));
                }
                let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
                let uri = format!("http://{authority}{path}");
                let uri = uri.parse::<Uri>().map_err(|error| {
                    Error::invalid(format!("found '{path}'")).with_source(error).at("--http")
                })?;
                let mut connector = HttpConnector::new();
                connector.set_nodelay(true);
                let client = Client::builder(TokioExecutor::new()).build(connector);
                let (bodies, max_bytes) = (bodies.to_vec(), target.max_message_bytes);
                return Ok(Self::Http(Box::new(Http {
                    client,
                    uri,
                    bodies,
                    max_bytes,
                    clock: clock.clone(),
                })));
            }
            Protocol::Grpc { method, authority } => {
                let own = uri.authority().map(ToString::to_string).unwrap_or_default();
                let authority = authority.as_ref().unwrap_or(&own);
                let is_tls = target.tls.is_some();
                let method = |body: &Bytes| Method::new(method, authority, is_tls, body.clone());
                let methods = bodies.iter().map(|body| method(body).map(Request::Method));
                methods.collect::<Result<Vec<_>>>()?
            }
            Protocol::Worker { function } => {
                let request =
                    |data: &Bytes| Request::Call { function: function.clone(), data: data.clone() };
                bodies.iter().map(request).collect()
            }
        };
        Ok(Self::Grpc { connection: Connection::open(target, clock).await?, requests })
    }

    /// Calls with this body.
    pub(super) async fn call(&self, body: usize, number: u64, deadline: Duration) -> Ended {
        match self {
            Self::Grpc { connection, requests } => {
                match connection.call(&requests[body], number as i64, deadline).await {
                    Ok(answer) => Ended::well(answer.instance),
                    Err(status) => Ended {
                        code: status.code(),
                        text: format::foreign(status.message()),
                        instance: None,
                    },
                }
            }
            Self::Http(http) => {
                let late = http.clock.sleep_until(http.clock.now() + deadline);
                tokio::select! {
                    biased;
                    ended = Box::pin(http.call(body)) => ended,
                    () = late => Ended {
                        code: Code::DeadlineExceeded,
                        text: format!("no answer within {}", format::duration(deadline)),
                        instance: None,
                    },
                }
            }
        }
    }
}

impl Ended {
    fn well(instance: Option<String>) -> Self {
        Self { code: Code::Ok, text: String::new(), instance }
    }
}

impl Http {
    async fn call(&self, body: usize) -> Ended {
        let unavailable = |text: String| Ended { code: Code::Unavailable, text, instance: None };
        let request = HttpRequest::post(self.uri.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(Full::new(self.bodies[body].clone()));
        let request = match request {
            Ok(request) => request,
            Err(error) => return unavailable(error.to_string()),
        };
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) => {
                let causes = std::iter::successors(
                    Some(&error as &(dyn std::error::Error + 'static)),
                    |cause| cause.source(),
                );
                let causes: Vec<_> = causes.map(ToString::to_string).collect();
                return unavailable(format::foreign(&causes.join(": ")));
            }
        };
        let status = response.status();
        match Limited::new(response.into_body(), self.max_bytes).collect().await {
            Err(error) => unavailable(format::foreign(&error.to_string())),
            Ok(_) if status.is_success() => Ended::well(None),
            Ok(_) => Ended { code: code(status), text: status.to_string(), instance: None },
        }
    }
}

/// The gRPC code of a status of HTTP, as gRPC itself maps them where it has no better one.
fn code(status: StatusCode) -> Code {
    match status {
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    }
}
