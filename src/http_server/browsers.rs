//! Keeps the requests of web pages out.
//!
//! A browser sends some requests to any address for any page, and a page of a name that resolves to
//! this machine is of the same origin as the server. Programs do not send what is refused here.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode, Uri, Version,
        header::{CONTENT_TYPE, HOST, HeaderName, ORIGIN},
        uri::Authority,
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};

/// The names by which a server may be asked for: addresses, names without a dot, names that exist in
/// no public DNS, and these.
#[derive(Debug, Clone)]
pub struct Hosts {
    /// The host that the server was told to serve at.
    pub configured: String,
    /// The machine's own name, in full: of its first part with another domain, anyone may be the owner.
    pub machine: Option<String>,
    /// The option that configured the host, for the text of a refusal.
    pub option: &'static str,
}

/// Domains that no public DNS has (RFC 6761, RFC 6762, and what ICANN reserved for private use).
const PRIVATE_DOMAINS: [&str; 3] = [".localhost", ".local", ".internal"];

/// What programs send with JSON; the second is what curl and Python's urllib say of any data.
const CONTENT_TYPES: [&str; 3] =
    ["application/json", "application/x-www-form-urlencoded", "application/octet-stream"];

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The same routes, which answer no browser, and only requests for one of these hosts.
pub fn refuse_browsers(router: Router, hosts: Hosts) -> Router {
    router.layer(from_fn_with_state(Arc::new(hosts), check))
}

/// The host, and perhaps the port, that a request is for.
pub fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Cow<'a, str>> {
    let host = headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
    uri.authority().map(|authority| authority.as_str().into()).or(host)
}

async fn check(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    match hosts.refusal(request.uri(), request.version(), request.headers()) {
        Some((status, text)) => (status, text).into_response(),
        None => next.run(request).await,
    }
}

impl Hosts {
    /// Why a request is not taken, if it is not.
    fn refusal(
        &self,
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
    ) -> Option<(StatusCode, String)> {
        for name in [ORIGIN, SEC_FETCH_SITE] {
            if headers.contains_key(&name) {
                let text = format!(
                    "found the header {name}, which browsers send; requests of web pages are not \
                     taken: use a program, such as curl"
                );
                return Some((StatusCode::FORBIDDEN, text));
            }
        }
        if let Some(refusal) = self.refuse_host(uri, version, headers) {
            return Some(refusal);
        }
        let kind = headers.get(CONTENT_TYPE)?;
        let kind = String::from_utf8_lossy(kind.as_bytes());
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if CONTENT_TYPES.iter().any(|known| essence.eq_ignore_ascii_case(known)) {
            return None;
        }
        let text = format!("found the content type {kind:?}, expected application/json or none");
        Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
    }

    /// Why a request for its host is not taken, if it is not: a web page of a name that its owner lets
    /// resolve to this machine would be of the same origin as the server.
    pub fn refuse_host(
        &self,
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
    ) -> Option<(StatusCode, String)> {
        match host(uri, headers) {
            None if version >= Version::HTTP_11 => {
                let text = "found no header Host, expected one".to_owned();
                Some((StatusCode::BAD_REQUEST, text))
            }
            Some(host) if !self.is_known(&host) => {
                let text = format!(
                    "found the host {host:?}, expected an IP address, a name without a dot, the \
                     machine's own name or {:?}, as {} says",
                    self.configured, self.option
                );
                Some((StatusCode::MISDIRECTED_REQUEST, text))
            }
            _ => None,
        }
    }

    fn is_known(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        let is_machine =
            |machine: &String| name.eq_ignore_ascii_case(machine.trim_end_matches('.'));
        address.parse::<IpAddr>().is_ok()
            || !name.contains('.')
            || PRIVATE_DOMAINS.iter().any(|domain| name.ends_with(domain))
            || name.eq_ignore_ascii_case(&self.configured)
            || self.machine.as_ref().is_some_and(is_machine)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn hosts() -> Hosts {
        let machine = Some("gpu7.lab".into());
        Hosts { configured: "db.example.org".into(), machine, option: "--database-address" }
    }

    fn status(headers: &[(HeaderName, &'static str)]) -> Option<u16> {
        let headers = headers.iter().cloned();
        let headers: HeaderMap =
            headers.map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
        let refusal = hosts().refusal(&Uri::from_static("/"), Version::HTTP_11, &headers);
        refusal.map(|(status, text)| {
            assert!(!text.contains('\n'), "{text}");
            status.as_u16()
        })
    }

    #[test]
    fn programs_are_taken_and_web_pages_are_refused() {
        let local = (HOST, "localhost:8999");
        assert_eq!(status(std::slice::from_ref(&local)), None);
        for kind in ["application/json", "Application/JSON; charset=utf-8"] {
            assert_eq!(status(&[local.clone(), (CONTENT_TYPE, kind)]), None, "{kind}");
        }
        // curl -d, and Python's urllib.
        let form = (CONTENT_TYPE, "application/x-www-form-urlencoded");
        assert_eq!(status(&[local.clone(), form]), None);
        for kind in ["text/plain;charset=UTF-8", "multipart/form-data; boundary=a", ""] {
            assert_eq!(status(&[local.clone(), (CONTENT_TYPE, kind)]), Some(415), "{kind}");
        }
        assert_eq!(status(&[local.clone(), (ORIGIN, "http://evil.example")]), Some(403));
        assert_eq!(status(&[local.clone(), (ORIGIN, "null")]), Some(403));
        assert_eq!(status(&[local, (SEC_FETCH_SITE, "same-origin")]), Some(403));
        assert_eq!(status(&[]), Some(400));
    }

    #[test]
    fn a_name_that_a_stranger_can_let_resolve_to_this_machine_is_refused() {
        for known in [
            "127.0.0.1:8999",
            "[::1]:8999",
            "192.0.2.7",
            "localhost",
            "database:8999",
            "host.docker.internal:8999",
            "node3.local",
            "DB.example.org.:80",
            "gpu7:8999",
            "GPU7.lab:8999",
            "gpu7.lab.",
        ] {
            assert_eq!(status(&[(HOST, known)]), None, "{known}");
        }
        for strange in [
            "evil.example:8999",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "gpu7.evil.example:8999",
            "gpu7.lab.evil.example",
            "",
        ] {
            assert_eq!(status(&[(HOST, strange)]), Some(421), "{strange}");
        }
        for (machine, strange) in
            [("vm", "vm.evil.example"), ("localhost.localdomain", "localhost.evil.example")]
        {
            let hosts = Hosts { machine: Some(machine.into()), ..hosts() };
            assert!(hosts.is_known(machine) && !hosts.is_known(strange), "{strange}");
        }
    }

    #[test]
    fn the_host_of_an_absolute_request_counts() {
        let headers: HeaderMap =
            [(HOST, HeaderValue::from_static("localhost"))].into_iter().collect();
        let uri = Uri::from_static("http://evil.example/");
        let refusal = hosts().refusal(&uri, Version::HTTP_11, &headers);
        assert_eq!(refusal.unwrap().0, StatusCode::MISDIRECTED_REQUEST);
    }
}
