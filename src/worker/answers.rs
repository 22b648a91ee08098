use bytes::Bytes;

use super::Worker;
use crate::catalog::Model;

/// What the answer to a call becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerKind {
    /// A field of the platform's own message: any bytes.
    Data,
    /// A message of a method that only the client knows, as protobuf encodes it.
    Message,
}

impl Worker {
    /// The answer to a request; `random` draws its random bits. What answers are is decided here
    /// and nowhere else.
    pub(super) fn answer(
        &self,
        kind: AnswerKind,
        model: &Model,
        request: Bytes,
        random: impl FnOnce() -> u64,
    ) -> Bytes {
        let of_model = model.response.as_ref();
        match kind {
            AnswerKind::Data => of_model.unwrap_or(&self.config.response).body(request, random),
            AnswerKind::Message => {
                of_model.unwrap_or(&self.config.instance_response).message(request, random)
            }
        }
    }
}
