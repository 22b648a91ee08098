use bytes::Bytes;
use hyperfake_predictor::{Error, Result};
use prost_reflect::{DynamicMessage, MethodDescriptor, prost::Message as _};
use serde_json::Value;

/// A method, as its clients see it.
#[derive(Debug, Clone)]
pub struct Method(MethodDescriptor);

impl Method {
    pub(super) fn new(descriptor: MethodDescriptor) -> Self {
        Self(descriptor)
    }

    /// The request of this JSON.
    ///
    /// # Errors
    ///
    /// When the JSON does not fit the method's request; the error names the field.
    pub fn request(&self, json: &str) -> Result<Bytes> {
        let input = self.0.input();
        let invalid = |error: serde_json::Error| {
            Error::invalid(format!("this is no {}: {error}", input.full_name()))
        };
        let mut json = serde_json::Deserializer::from_str(json);
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
        let message = DynamicMessage::deserialize(input.clone(), tracked).map_err(|error| {
            let field = track.path().to_string();
            if matches!(&*field, "." | "?") { invalid(error) } else { invalid(error).at(field) }
        })?;
        json.end().map_err(invalid)?;
        Ok(message.encode_to_vec().into())
    }

    /// The JSON of this answer.
    ///
    /// # Errors
    ///
    /// When it is not a message of the method's answer.
    pub fn answer(&self, message: Bytes) -> Result<Value> {
        let output = self.0.output();
        let name = output.full_name().to_owned();
        let invalid = |error: String| {
            Error::invalid(format!("the answer is no message of type {name}: {error}"))
        };
        let message = DynamicMessage::decode(output, message);
        let message = message.map_err(|error| invalid(error.to_string()))?;
        serde_json::to_value(&message).map_err(|error| invalid(error.to_string()))
    }
}
