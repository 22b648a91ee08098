use std::time::Duration;

use bytes::Bytes;
use hyperfake_predictor::Error;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor, prost::Message as _};

use super::{
    AnswerError, MAX_ANSWER, Outcome,
    file::MethodEntry,
    template::{Context, Template},
};
use crate::duration;

/// What a method answers.
pub(super) struct Method {
    /// `package.Service/Method`
    pub(super) path: String,
    input: MessageDescriptor,
    output: MessageDescriptor,
    answer: Option<Template>,
    run_time: Option<Template>,
    pub(super) outcome: Outcome,
}

impl Method {
    /// # Errors
    ///
    /// When a template is none or uses a field that the request does not have, and when there is no
    /// answer to an empty request: an answer with an unknown field is noticed so.
    pub(super) fn new(
        path: String,
        descriptor: &MethodDescriptor,
        entry: &MethodEntry,
    ) -> Result<Self, Error> {
        let (input, output) = (descriptor.input(), descriptor.output());
        let answer = entry.answer.as_ref().map(|json| Template::of_json(json, &input));
        let run_time = entry.run_time.as_ref().map(|text| Template::of_text(text, &input));
        let method = Self {
            path,
            input,
            output,
            answer: answer.transpose().map_err(|error| error.at("answer"))?,
            run_time: run_time.transpose().map_err(|error| error.at("run_time"))?,
            outcome: entry.outcome,
        };
        let empty = Bytes::new();
        let tried = method.answer(&empty, 0).and_then(|_| method.run_time(&empty, 0));
        match tried {
            Ok(_) => Ok(method),
            Err(error) => Err(Error::invalid(format!("to an empty request {error}"))),
        }
    }

    pub(super) fn answer(&self, request: &Bytes, random: u64) -> Result<Bytes, AnswerError> {
        let Some(template) = &self.answer else { return Ok(Bytes::new()) };
        let context = self.context(request, random)?;
        self.message(&template.render(&context).map_err(AnswerError::Template)?)
    }

    pub(super) fn run_time(
        &self,
        request: &Bytes,
        random: u64,
    ) -> Result<Option<Duration>, AnswerError> {
        let context = self.context(request, random)?;
        let Some(template) = &self.run_time else { return Ok(None) };
        let failed = |error| AnswerError::Template(format!("run_time: {error}"));
        let text = template.render(&context).map_err(failed)?;
        let parsed = duration::parse(text.trim());
        parsed.map(Some).map_err(|error| failed(format!("found '{text}', {error}")))
    }

    fn context(&self, request: &Bytes, random: u64) -> Result<Context, AnswerError> {
        let request = DynamicMessage::decode(self.input.clone(), request.clone())
            .map_err(|error| AnswerError::Request(error.to_string()))?;
        Ok(Context::new(&request, random))
    }

    fn message(&self, json: &str) -> Result<Bytes, AnswerError> {
        let failed = |error: serde_json::Error| AnswerError::Template(format!("answer: {error}"));
        let mut json = serde_json::Deserializer::from_str(json);
        let message =
            DynamicMessage::deserialize(self.output.clone(), &mut json).map_err(failed)?;
        json.end().map_err(failed)?;
        let length = message.encoded_len();
        if length > MAX_ANSWER {
            let message = format!("answer: has {length} bytes, expected at most {MAX_ANSWER}");
            return Err(AnswerError::Template(message));
        }
        Ok(message.encode_to_vec().into())
    }
}
