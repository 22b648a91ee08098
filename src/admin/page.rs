//! The files of the page, which `build.rs` compresses.

use std::io::Read;

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use flate2::read::GzDecoder;

/// A file of the page.
struct File {
    /// Its name below `/`; that of `/` itself is empty.
    name: &'static str,
    kind: &'static str,
    /// Another one when the content is.
    tag: &'static str,
    gzip: &'static [u8],
}

const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// The file of this name, if there is one.
pub(super) fn file(name: &str, headers: &HeaderMap) -> Option<Response> {
    let file = FILES.iter().find(|file| file.name == name)?;
    let facts = [
        (header::ETAG, file.tag),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "accept-encoding"),
    ];
    if has_it(headers, file.tag) {
        return Some((StatusCode::NOT_MODIFIED, facts).into_response());
    }
    let kind = [(header::CONTENT_TYPE, file.kind)];
    Some(match takes_gzip(headers) {
        true => {
            let encoding = [(header::CONTENT_ENCODING, "gzip")];
            (facts, kind, encoding, file.gzip).into_response()
        }
        false => (facts, kind, file.plain()).into_response(),
    })
}

/// Whether the client has a file with this tag.
fn has_it(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut known = known.filter_map(|tags| tags.to_str().ok()).flat_map(|tags| tags.split(','));
    known.any(|known| known.trim().trim_start_matches("W/") == tag)
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    let accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.flat_map(|all| all.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        parts.next() == Some("gzip") && !parts.any(|part| part == "q=0")
    })
}

impl File {
    fn plain(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        // What was compressed when the program was built is whole.
        let _ = GzDecoder::new(self.gzip).read_to_end(&mut plain);
        plain
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use http_body_util::BodyExt;

    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        [(name, HeaderValue::from_str(value).unwrap())].into_iter().collect()
    }

    async fn body(response: Response) -> Vec<u8> {
        response.into_body().collect().await.unwrap().to_bytes().to_vec()
    }

    #[tokio::test]
    async fn a_file_is_sent_compressed_or_plain_or_not_at_all() {
        for asked in FILES {
            let content = asked.plain();
            assert!(!content.is_empty(), "{}", asked.name);
            let plain = file(asked.name, &HeaderMap::new()).unwrap();
            assert_eq!(plain.headers()[header::CONTENT_TYPE], asked.kind);
            assert_eq!(plain.headers()[header::ETAG], asked.tag);
            assert_eq!(body(plain).await, content);
            for known in [asked.tag.to_owned(), format!("\"x\", W/{}", asked.tag)] {
                let unchanged = file(asked.name, &headers(header::IF_NONE_MATCH, &known)).unwrap();
                assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED, "{}", asked.name);
                assert_eq!(body(unchanged).await, b"");
            }
            let gzip = headers(header::ACCEPT_ENCODING, "br;q=1.0, gzip");
            let sent = file(asked.name, &gzip).unwrap();
            assert_eq!(sent.headers()[header::CONTENT_ENCODING], "gzip");
            assert_eq!(body(sent).await, asked.gzip);
            let refused = file(asked.name, &headers(header::ACCEPT_ENCODING, "gzip;q=0")).unwrap();
            assert_eq!(body(refused).await, content);
        }
        assert!(FILES.iter().any(|file| file.name.is_empty()), "there is no index.html");
        assert!(file("../mod.rs", &HeaderMap::new()).is_none());
        assert!(file("index.html", &HeaderMap::new()).is_none());
    }

    #[test]
    fn all_files_together_take_less_than_120_kb_of_the_program() {
        let all: usize = FILES.iter().map(|file| file.gzip.len()).sum();
        assert!(all < 120_000, "{all} bytes");
    }
}
