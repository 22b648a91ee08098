//! What a template can use besides the request.

use base64::{Engine, prelude::BASE64_STANDARD};
use jpeg_encoder::{ColorType, Encoder};
use minijinja::{Error, ErrorKind, State, Value, filters, value::Kwargs};

use super::MAX_ANSWER;

/// The name under which a template finds its random number, from 0 up to 1.
pub(super) const RANDOM: &str = "random";

/// This many random bytes, as a field of type `bytes` is written in JSON.
pub(super) fn random_bytes(state: &State<'_, '_>, length: usize) -> Result<String, Error> {
    if length > MAX_ANSWER {
        let message = format!("random_bytes: found {length}, expected at most {MAX_ANSWER}");
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    let random = state.lookup(RANDOM).and_then(|random| f64::try_from(random).ok());
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(random.unwrap_or_default().to_bits()).fill(&mut bytes);
    Ok(BASE64_STANDARD.encode(bytes))
}

/// JSON in one line.
pub(super) fn tojson(value: &Value) -> Result<Value, Error> {
    filters::tojson(value, None, Kwargs::from_iter::<[(&str, Value); 0]>([]))
}

/// A grey JPEG image, as a field of type `bytes` is written in JSON.
pub(super) fn jpeg(state: &State<'_, '_>, width: u16, height: u16) -> Result<String, Error> {
    /// An instruction of a template takes about as long as so many pixels.
    const PIXELS: u64 = 8;
    const MOST: usize = 4 << 20;
    let pixels = usize::from(width) * usize::from(height);
    let invalid = |message| Error::new(ErrorKind::InvalidOperation, message);
    if pixels == 0 || pixels > MOST {
        let message = format!("jpeg: found {width} x {height}, expected 1 to {MOST} pixels");
        return Err(invalid(message));
    }
    state.consume_fuel(pixels as u64 / PIXELS)?;
    let mut image = Vec::new();
    Encoder::new(&mut image, 75)
        .encode(&vec![128; pixels], width, height, ColorType::Luma)
        .map_err(|error| invalid(format!("jpeg: {error}")))?;
    Ok(BASE64_STANDARD.encode(image))
}
