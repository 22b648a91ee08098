use super::*;

const TOKEN: &str = "0123456789abcdef";

fn guard(token: Option<&str>, admin: bool) -> Guard {
    let machine = Some("vm".into());
    let hosts = Hosts { configured: "localhost".into(), machine, option: "--http" };
    let token = token.map(|token| token.parse().unwrap());
    Guard { hosts, token, admin, is_metrics_alone: false }
}

/// The status with which a request is refused, of a method and a path, with these headers beside the
/// host.
fn refused(guard: &Guard, request: &str, headers: &[(&str, &str)]) -> Option<u16> {
    let (method, path) = request.split_once(' ').unwrap();
    let mut builder = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        builder = builder.header("host", "127.0.0.1:8990");
    }
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    guard.refuse(&builder.body(()).unwrap()).map(|refusal| {
        assert!(!refusal.text.contains('\n'), "{}", refusal.text);
        refusal.status.as_u16()
    })
}

#[test]
fn a_page_of_another_name_or_site_reads_nothing() {
    let guard = guard(None, false);
    for path in ["GET /", "GET /metrics", "GET /api/v1/state", "GET /healthz"] {
        assert_eq!(refused(&guard, path, &[]), None, "{path}");
        assert_eq!(refused(&guard, path, &[("host", "localhost:8990")]), None, "{path}");
        // A name that its owner lets resolve to 127.0.0.1.
        for name in ["evil.example:8990", "vm.evil.example", "localhost.evil.example"] {
            assert_eq!(refused(&guard, path, &[("host", name)]), Some(421), "{path} {name}");
        }
        assert_eq!(refused(&guard, path, &[("host", "vm:8990")]), None, "{path}");
        for origin in ["http://evil.example", "null", "http://127.0.0.1:9", "http://localhost:8990"]
        {
            assert_eq!(refused(&guard, path, &[("origin", origin)]), Some(403), "{path} {origin}");
        }
        let own = [("origin", "http://127.0.0.1:8990"), ("sec-fetch-site", "same-origin")];
        assert_eq!(refused(&guard, path, &own), None, "{path}");
        let typed = [("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")];
        assert_eq!(refused(&guard, path, &typed), None, "{path}");
        for site in ["cross-site", "same-site", "anything"] {
            let image = [("sec-fetch-site", site), ("sec-fetch-mode", "no-cors")];
            assert_eq!(refused(&guard, path, &image), Some(403), "{path} {site}");
        }
    }
}

#[test]
fn another_page_may_link_to_the_page_and_to_nothing_else() {
    let guard = guard(None, true);
    let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
    assert_eq!(refused(&guard, "GET /", &link), None);
    assert_eq!(refused(&guard, "GET /table", &link), None);
    assert_eq!(refused(&guard, "GET /api/v1/state", &link), Some(403));
    assert_eq!(refused(&guard, "POST /", &link), Some(403));
}

#[test]
fn a_change_needs_the_option_and_a_header_that_a_foreign_page_cannot_send() {
    let change = "PATCH /api/v1/faults/slow";
    let header = ("hyperfake-change", "1");
    let json = ("content-type", "application/json");
    assert_eq!(refused(&guard(None, false), change, &[header, json]), Some(403));
    let guard = guard(None, true);
    assert_eq!(refused(&guard, change, &[header, json]), None);
    assert_eq!(refused(&guard, change, &[header]), None);
    assert_eq!(refused(&guard, change, &[json]), Some(403));
    assert_eq!(refused(&guard, change, &[("hyperfake-change", "0"), json]), Some(403));
    let text = ("content-type", "text/plain");
    assert_eq!(refused(&guard, change, &[header, text]), Some(415));
    let foreign = ("origin", "http://evil.example");
    assert_eq!(refused(&guard, change, &[header, json, foreign]), Some(403));
    // What a browser asks before it sends such a request for another page.
    let ask = [foreign, ("access-control-request-method", "PATCH")];
    assert_eq!(refused(&guard, "OPTIONS /api/v1/faults/slow", &ask), Some(403));
}

#[test]
fn a_token_is_asked_for_everywhere_but_by_probes() {
    let guard = guard(Some(TOKEN), false);
    let basic = format!("Basic {}", STANDARD.encode(format!("anyone:{TOKEN}")));
    let bearer = format!("bearer {TOKEN}");
    for path in ["GET /", "GET /metrics", "GET /api/v1/stream", "GET /nothing"] {
        for right in [basic.as_str(), bearer.as_str()] {
            assert_eq!(refused(&guard, path, &[("authorization", right)]), None, "{path}");
        }
        let user = format!("Basic {}", STANDARD.encode(TOKEN));
        for wrong in ["", "Bearer", "Bearer x", &bearer[..20], "Basic !", &user, TOKEN] {
            let shown = [("authorization", wrong)];
            assert_eq!(refused(&guard, path, &shown), Some(401), "{path} {wrong}");
        }
        assert_eq!(refused(&guard, path, &[]), Some(401), "{path}");
        // A page of a name that resolves to this machine knows no token; others may have a name for it.
        let name = ("host", "hyperfake.example.org");
        assert_eq!(refused(&guard, path, &[name]), Some(401), "{path}");
        assert_eq!(refused(&guard, path, &[name, ("authorization", &bearer)]), None, "{path}");
    }
    assert_eq!(refused(&guard, "GET /healthz", &[]), None);
    assert_eq!(refused(&guard, "GET /readyz", &[]), None);
    let asks = guard.refuse(&Request::builder().header("host", "a").body(()).unwrap());
    let response = asks.unwrap().into_response();
    assert!(response.headers()[WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic "));
}

#[test]
fn an_address_of_metrics_shows_nothing_else_to_others_on_the_network() {
    let guard = Guard { is_metrics_alone: true, ..guard(None, true) };
    for path in ["GET /metrics", "GET /healthz", "GET /readyz"] {
        assert_eq!(refused(&guard, path, &[]), None, "{path}");
        let service = [("host", "hyperfake.default.svc:8990")];
        assert_eq!(refused(&guard, path, &service), None, "{path}");
    }
    let change = [("hyperfake-change", "1")];
    for path in ["GET /", "GET /table", "GET /api/v1/state", "POST /api/v1/workers/0/drain"] {
        assert_eq!(refused(&guard, path, &change), Some(403), "{path}");
    }
}
