use bytes::Bytes;
use http::{HeaderMap, Request, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::serve::{GRPC, framed};

/// Where the kernel says what the host is called: in a container, that is the container's id.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// Tells the worker at this address that this instance is ready to be called, by `SignalReady` of HyperFaaS's
/// `worker.Worker`. The instance is named by its host name, as by the functions of HyperFaaS.
pub(crate) async fn ready(address: &str) -> Result<(), String> {
    let failed = |error: &dyn std::error::Error| format!("cannot call SignalReady: {error}");
    let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
    let connected = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.map_err(|error| failed(&error))?;
    // It ends with the sender; what breaks it is seen by the call.
    tokio::spawn(connection);
    let host = std::fs::read_to_string(HOST_NAME).unwrap_or_default();
    let request = Request::post(format!("http://{address}/worker.Worker/SignalReady"))
        .header(CONTENT_TYPE, GRPC)
        .header("te", "trailers")
        .body(Full::new(framed(&request(host.trim()))))
        .map_err(|error| failed(&error))?;
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let code = status(response.headers());
    let body = response.into_body().collect().await.map_err(|error| failed(&error))?;
    let code = code.or_else(|| body.trailers().and_then(status));
    match code.as_deref() {
        Some("0") => Ok(()),
        code => Err(format!("SignalReady was answered with the code {}", code.unwrap_or("none"))),
    }
}

/// `SignalReadyRequest` has one field, number 1: the instance's id. Names of hosts have at most 64 bytes.
fn request(instance: &str) -> Bytes {
    let length = instance.len().min(127);
    [&[0x0a, length as u8][..], &instance.as_bytes()[..length]].concat().into()
}

fn status(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("grpc-status")?.to_str().ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_the_instance_in_its_first_field() {
        assert_eq!(request("box"), &b"\x0a\x03box"[..]);
        assert_eq!(request("").len(), 2);
        assert_eq!(request(&"x".repeat(300)).len(), 129);
    }
}
