//! Parts of requests; what is wrong with one is said as everything else is.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{StatusCode, request::Parts},
};

use super::guard::Refusal;

/// The part of the path that a route leaves open.
pub(super) struct Segment(pub(super) String);

/// The whole body.
pub(super) struct Whole(pub(super) Bytes);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let text = "found a path that is not UTF-8, expected text";
        path.map(|Path(segment)| Self(segment))
            .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, text))
    }
}

impl<S: Send + Sync> FromRequest<S> for Whole {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        Bytes::from_request(request, state).await.map(Self).map_err(|rejection| {
            let status = rejection.status();
            let text = match status {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    format!("found a body of more than {} bytes, expected no more", super::MAX_BODY)
                }
                _ => "found a body that cannot be read, expected all of it".to_owned(),
            };
            Refusal::new(status, text)
        })
    }
}
