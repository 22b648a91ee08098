use std::{fmt, fs::File, io::Read, str::FromStr, sync::LazyLock};

use bytes::Bytes;

use crate::schema::filler;

/// What the body of an answer is.
#[derive(Clone, PartialEq, Eq)]
pub enum ResponseBody {
    /// This many random bytes.
    Random(usize),
    /// The request's body.
    Echo,
    /// Nothing.
    Empty,
    /// Always these bytes, which all answers share.
    Fixed(Bytes),
}

/// The longest answer: more than a client would take.
const MAX_BYTES: usize = 64 << 20;

impl ResponseBody {
    /// Whether an answer is made of its request.
    #[must_use]
    pub fn needs_request(&self) -> bool {
        matches!(self, Self::Echo)
    }

    /// The answer to a request with this body; `random` draws the random bits of this answer.
    #[must_use]
    pub fn body(&self, request: Bytes, random: impl FnOnce() -> u64) -> Bytes {
        match self {
            Self::Random(length) => bytes(*length, random()),
            Self::Echo => request,
            Self::Empty => Bytes::new(),
            Self::Fixed(bytes) => bytes.clone(),
        }
    }

    /// The same as a protobuf message that every type of message accepts, if it is random.
    #[must_use]
    pub fn message(&self, request: Bytes, random: impl FnOnce() -> u64) -> Bytes {
        match self {
            Self::Random(length) => filler::of(*length, |length| bytes(length, random())),
            _ => self.body(request, random),
        }
    }
}

/// This many random bytes, which the bits decide. A few are cut from what was made once.
fn bytes(length: usize, bits: u64) -> Bytes {
    const MADE: usize = 64 << 10;
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| made(MADE, 0));
    fn made(length: usize, seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; length];
        fastrand::Rng::with_seed(seed).fill(&mut bytes);
        bytes
    }
    if length > MADE / 2 {
        return made(length, bits).into();
    }
    // The high half of the product is evenly spread from 0 up to the number of places.
    let places = (MADE - length + 1) as u64;
    let start = ((u128::from(bits) * u128::from(places)) >> 64) as usize;
    Bytes::from_static(&BYTES[start..start + length])
}

/// `echo`, `empty`, `random:N`, `text:TEXT`, `hex:DIGITS` or `file:PATH`. What stands behind
/// `text:` and `file:` is taken as it is. The file is read at once, and not again.
impl FromStr for ResponseBody {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "echo" => Ok(Self::Echo),
            None if text == "empty" => Ok(Self::Empty),
            Some(("random", length)) => match length.parse() {
                Ok(length) if length <= MAX_BYTES => Ok(Self::Random(length)),
                _ => {
                    Err(format!("found '{text}', expected random:N with N bytes up to {MAX_BYTES}"))
                }
            },
            Some(("text", text)) => bounded("the text", text.as_bytes().to_vec()),
            Some(("hex", digits)) => bounded("hex:", hex(digits)?),
            Some(("file", path)) => read(path),
            _ => Err(format!(
                "found '{text}', expected random:N with N bytes up to {MAX_BYTES}, echo, empty, \
                 text:TEXT, hex:DIGITS, or file:PATH"
            )),
        }
    }
}

fn bounded(what: &str, bytes: Vec<u8>) -> Result<ResponseBody, String> {
    match bytes.len() {
        length if length > MAX_BYTES => {
            Err(format!("{what} has {length} bytes, expected at most {MAX_BYTES}"))
        }
        _ => Ok(ResponseBody::Fixed(bytes.into())),
    }
}

/// Two digits a byte.
fn hex(digits: &str) -> Result<Vec<u8>, String> {
    if let Some((at, found)) = digits.char_indices().find(|(_, c)| !c.is_ascii_hexdigit()) {
        let at = at + 1;
        return Err(format!("hex: found {found:?} at digit {at}, expected 0 to 9 and a to f"));
    }
    if digits.len() % 2 == 1 {
        let length = digits.len();
        return Err(format!("hex: found {length} digits, expected two for each byte"));
    }
    let value = |digit: u8| (digit as char).to_digit(16).unwrap_or_default() as u8;
    Ok(digits.as_bytes().chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect())
}

fn read(path: &str) -> Result<ResponseBody, String> {
    let failed = |error: std::io::Error| format!("cannot read the file '{path}': {error}");
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(format!("found '{path}', which is not a file with an answer"));
    }
    let what = format!("the file '{path}'");
    if metadata.len() > MAX_BYTES as u64 {
        return Err(format!("{what} has {} bytes, expected at most {MAX_BYTES}", metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // The file may grow while it is read.
    let limit = MAX_BYTES as u64 + 1;
    File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
    bounded(&what, bytes)
}

/// Not the bytes themselves, of which there may be many.
impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random(length) => write!(f, "Random({length})"),
            Self::Echo => f.write_str("Echo"),
            Self::Empty => f.write_str("Empty"),
            Self::Fixed(bytes) => write!(f, "Fixed({} bytes)", bytes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn body(text: &str) -> Vec<u8> {
        let response: ResponseBody = text.parse().unwrap();
        response.body(Bytes::from_static(b"request"), || 7).to_vec()
    }

    fn refusal(text: &str) -> String {
        text.parse::<ResponseBody>().unwrap_err()
    }

    #[test]
    fn a_fixed_answer_is_a_text_hexadecimal_digits_or_a_file() {
        // What stands behind the colon is taken as it is.
        for text in ["HELLO WORLD!", "", " a:b=c&d#e?f ", "Grüße\n", "text:"] {
            assert_eq!(body(&format!("text:{text}")), text.as_bytes());
        }
        assert_eq!(body("hex:"), b"");
        assert_eq!(body("hex:00ff0aB1"), [0x00, 0xff, 0x0a, 0xb1]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("an answer: 1");
        for bytes in [&b"\0\xff\n"[..], b""] {
            fs::write(&path, bytes).unwrap();
            let answer = format!("file:{}", path.display());
            let response: ResponseBody = answer.parse().unwrap();
            // It was read at once.
            fs::write(&path, "changed").unwrap();
            assert_eq!(response.body(Bytes::new(), || 7), bytes);
        }
        assert_eq!(body("random:0"), b"");
        assert_eq!((body("random:7").len(), body("random:70000").len()), (7, 70_000));
        assert_eq!((body("echo"), body("empty")), (b"request".to_vec(), b"".to_vec()));
    }

    #[test]
    fn a_path_is_relative_to_the_current_folder() {
        // Which is the package's in a test.
        assert_eq!(body("file:src/catalog/response.rs"), fs::read(file!()).unwrap());
    }

    #[test]
    fn what_is_no_answer_is_refused_with_what_was_found_and_expected() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| format!("file:{}", folder.path().join(name).display());
        let large = fs::File::create(folder.path().join("large")).unwrap();
        large.set_len(64 << 20).unwrap();
        assert!(file("large").parse::<ResponseBody>().is_ok());
        large.set_len((64 << 20) + 1).unwrap();
        for (text, expected) in [
            (
                "loud",
                "found 'loud', expected random:N with N bytes up to 67108864, echo, empty, text",
            ),
            ("echo:", "found 'echo:', expected random:N"),
            ("", "found '', expected"),
            ("random:", "found 'random:', expected random:N with N bytes up to 67108864"),
            ("random:-1", "expected random:N"),
            ("random:67108865", "expected random:N with N bytes up to 67108864"),
            ("hex:0g", "hex: found 'g' at digit 2, expected 0 to 9 and a to f"),
            ("hex:0x00", "found 'x' at digit 2"),
            ("hex:00 11", "found ' ' at digit 3"),
            ("hex:é0", "found 'é' at digit 1"),
            ("hex:012", "hex: found 3 digits, expected two for each byte"),
            (&file("none"), "none': No such file"),
            (&file(""), "which is not a file"),
            ("file:/dev/zero", "found '/dev/zero', which is not a file"),
            ("file:", "cannot read the file ''"),
            (&file("large"), "large' has 67108865 bytes, expected at most 67108864"),
        ] {
            let error = refusal(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn all_answers_share_the_same_bytes() {
        let response: ResponseBody = "text:hello".parse().unwrap();
        let [one, two] = [(); 2].map(|()| response.body(Bytes::new(), || 7));
        assert_eq!(one.as_ptr(), two.as_ptr());
        assert_eq!(format!("{response:?}"), "Fixed(5 bytes)");
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_answered(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(body(&format!("hex:{digits}")), bytes);
        }

        #[test]
        fn any_text_is_an_answer_or_refused(text in ".*") {
            let _ = text.parse::<ResponseBody>();
        }
    }
}
