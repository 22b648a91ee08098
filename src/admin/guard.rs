use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode,
        header::{self, AUTHORIZATION, CONTENT_TYPE, ORIGIN, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use super::config::Token;
use crate::http_server::{self, Hosts};

/// Decides which requests are taken.
///
/// A browser sends requests to this server for pages of others, and lets pages of others read the
/// answers when their name resolves to this machine. So the host has to be one of this server unless
/// a token is asked for, the origin has to be the server itself, and a change needs a header that only a page of ours, or a
/// program, can send: for another page's request with it, a browser asks first and is refused.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) hosts: Hosts,
    pub(super) token: Option<Token>,
    /// Whether changes are taken at all.
    pub(super) admin: bool,
    /// Whether others on the network, who need no token, are shown metrics and no more.
    pub(super) is_metrics_alone: bool,
}

/// Why a request is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    text: String,
}

/// The header of a change; its value is 1.
const CHANGE: HeaderName = HeaderName::from_static("hyperfake-change");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Pages that another page may link to: they show something and do nothing.
const LINKED: [&str; 2] = ["/", "/table"];
/// What systems that know no token ask, to which the answer says next to nothing.
const WITHOUT_TOKEN: [&str; 2] = ["/healthz", "/readyz"];

/// What a page of ours may load, and that no page may show it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

impl Guard {
    /// Why a request is not taken, if it is not.
    pub(super) fn refuse<B>(&self, request: &Request<B>) -> Option<Refusal> {
        let (uri, headers) = (request.uri(), request.headers());
        let (path, is_read) = (uri.path(), matches!(*request.method(), Method::GET | Method::HEAD));
        if self.checks_host()
            && let Some((status, text)) = self.hosts.refuse_host(uri, request.version(), headers)
        {
            return Some(Refusal { status, text });
        }
        if let Some(refusal) = self.refuse_stranger(path, headers) {
            return Some(refusal);
        }
        let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
        let is_link = is_read
            && LINKED.contains(&path)
            && headers.get(SEC_FETCH_MODE).is_some_and(|mode| mode == "navigate");
        if !matches!(site, None | Some(b"same-origin" | b"none")) && !is_link {
            return Some(Refusal::forbidden("found a request of another site's page"));
        }
        if let Some(origin) = headers.get(ORIGIN) {
            let host = http_server::host(uri, headers).unwrap_or_default();
            let own = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            if !own.is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(&host)) {
                let text =
                    format!("found the origin {origin:?}, expected that of {host:?} or none");
                return Some(Refusal::forbidden(text));
            }
        }
        if is_read { None } else { self.refuse_change(headers) }
    }

    /// Whether requests for any host but those of this server are refused. A page of a name that
    /// resolves to this machine knows no token, and metrics alone are meant for others on the network,
    /// who have names of their own for it.
    fn checks_host(&self) -> bool {
        self.token.is_none() && !self.is_metrics_alone
    }

    /// Why a client that does not know the token is not served, if there is one.
    fn refuse_stranger(&self, path: &str, headers: &HeaderMap) -> Option<Refusal> {
        if self.is_metrics_alone && path != "/metrics" && !WITHOUT_TOKEN.contains(&path) {
            let text = "found a path that is shown to those alone who know a token, expected /metrics: \
                        start the server with --http-token";
            return Some(Refusal::forbidden(text));
        }
        let token = self.token.as_ref()?;
        if WITHOUT_TOKEN.contains(&path) || is_known(token, headers) {
            return None;
        }
        let text = "found no token or a wrong one, expected that of --http-token: as a bearer token, \
                    or as the password of any user";
        Some(Refusal { status: StatusCode::UNAUTHORIZED, text: text.into() })
    }

    fn refuse_change(&self, headers: &HeaderMap) -> Option<Refusal> {
        if !self.admin {
            let text = "found a request for a change, expected none: start the server with --admin";
            return Some(Refusal::forbidden(text));
        }
        if headers.get(CHANGE).is_none_or(|value| value != "1") {
            let text = "found no header HyperFake-Change, expected it with the value 1";
            return Some(Refusal::forbidden(text));
        }
        let kind = headers.get(CONTENT_TYPE)?.to_str().unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if ["application/json", "application/yaml"].contains(&kind) {
            return None;
        }
        let text = format!("found the content type {kind:?}, expected application/json or /yaml");
        Some(Refusal { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, text })
    }
}

/// Whether a client shows the token.
fn is_known(token: &Token, headers: &HeaderMap) -> bool {
    let Some(shown) = headers.get(AUTHORIZATION).and_then(|shown| shown.to_str().ok()) else {
        return false;
    };
    let Some((scheme, shown)) = shown.split_once(' ') else { return false };
    let shown = shown.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return token.is(shown.as_bytes());
    }
    let decoded = STANDARD.decode(shown).unwrap_or_default();
    let password = decoded.iter().position(|byte| *byte == b':').map(|at| &decoded[at + 1..]);
    scheme.eq_ignore_ascii_case("basic") && password.is_some_and(|shown| token.is(shown))
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    fn forbidden(text: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, text)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let json = [(header::CONTENT_TYPE, "application/json")];
        let body = json!({"error": self.text}).to_string();
        let mut response = (self.status, json, body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let asks = HeaderValue::from_static("Basic realm=\"hyperfake\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, asks);
        }
        response
    }
}

/// Adds what tells a browser to be strict.
pub(super) fn harden(mut response: Response<Body>) -> Response<Body> {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let unless_said = HeaderValue::from_static("no-store");
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(unless_said);
    response
}

#[cfg(test)]
mod tests;
