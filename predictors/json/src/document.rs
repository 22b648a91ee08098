//! JSON text as values of Rust types. An error says where it is: by its line if the text is not
//! JSON, and otherwise by the path of the value, such as `rows[3][1]`.

use std::{collections::BTreeSet, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// The longest list that is read: the rows of a table.
pub(crate) const MAX_ITEMS: usize = 1_000_000;

/// The largest object that is read: a map of images.
pub(crate) const MAX_FIELDS: usize = 10_000;

/// How much of a text from the file an error repeats, in characters.
const QUOTED: usize = 80;

/// What is wrong with a file, and where.
#[derive(Debug, PartialEq)]
pub(crate) struct Problem {
    /// A line or the path of a value; empty for the whole file.
    pub(crate) place: String,
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

/// The file's bytes as text.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        let message = "the file starts with a byte order mark; save it as UTF-8 without one";
        return Err(Problem::new("line 1", message));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = "this is not UTF-8; save the file as UTF-8 without a byte order mark";
        Problem::new(format!("line {line}"), message)
    })
}

/// The fields of the object that a whole file is. The syntax of the whole file is checked, without
/// recursion: values stay text.
pub(crate) fn fields(source: &str) -> Result<Vec<(String, &RawValue)>, Problem> {
    let raw: &RawValue = serde_json::from_str(source).map_err(|error| syntax(source, &error))?;
    parse(raw.get()).map(|Fields(fields)| fields)
}

/// The value of a text whose syntax was checked.
pub(crate) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { String::new() } else { short(&path) };
        Problem::new(place, plain(&error.into_inner().to_string()))
    })
}

fn syntax(source: &str, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(&*text, |(reason, _)| reason);
    let line = source.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let rest = line.get(error.column().saturating_sub(1)..).unwrap_or_default();
    let message = match ["NaN", "Infinity"].into_iter().find(|name| rest.starts_with(name)) {
        Some(name) => format!("'{name}' is not a number in JSON"),
        None if error.is_eof() => format!("the file ends too early: {reason}"),
        None => reason.to_owned(),
    };
    Problem::new(format!("line {}", error.line()), message)
}

/// A message of serde in the words of all other refusals.
fn plain(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(reason, _)| reason);
    let message = message.split('`').map(short).collect::<Vec<_>>().join("'");
    let message = message.replace("expected f64", "expected a number");
    let kinds = ["invalid type: ", "invalid value: ", "invalid length "];
    if let Some(rest) = kinds.iter().find_map(|kind| message.strip_prefix(kind)) {
        let rest = rest.replacen("sequence", "a list", 1).replacen("map", "an object", 1);
        return format!("found {rest}");
    }
    if let Some(name) = message.strip_prefix("missing field ") {
        return format!("the field {name} is missing");
    }
    match message.strip_prefix("duplicate field ") {
        Some(name) => format!("{name} is given twice"),
        None if message == "number out of range" => "the number is too large".to_owned(),
        None => message,
    }
}

/// Text from the file, short and printable.
pub(crate) fn short(text: &str) -> String {
    // Lists of names in a message are longer than what an error repeats, and are not cut.
    let most = if text.contains(", ") { 4 * QUOTED } else { QUOTED };
    let start: String = text
        .chars()
        .take(most)
        .flat_map(|char| match char.is_control() {
            true => char.escape_unicode().collect(),
            false => vec![char],
        })
        .collect();
    if text.chars().nth(most).is_some() { start + "..." } else { start }
}

/// The fields of an object, in their order; each is there once.
pub(crate) struct Fields<T>(pub(crate) Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Fields<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Pairs(PhantomData)).map(Self)
    }
}

/// A list of at most [`MAX_ITEMS`].
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Items(PhantomData)).map(Self)
    }
}

struct Pairs<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
    type Value = Vec<(String, T)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut names, mut items) = (BTreeSet::new(), Vec::new());
        while let Some((name, value)) = map.next_entry::<String, T>()? {
            if items.len() == MAX_FIELDS {
                let message = format!("the object has more than {MAX_FIELDS} fields");
                return Err(A::Error::custom(message));
            }
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format!("`{name}` is given twice")));
            }
            items.push((name, value));
        }
        Ok(items)
    }
}

struct Items<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() == MAX_ITEMS {
                let message = format!("the list has more than {MAX_ITEMS} entries");
                return Err(A::Error::custom(message));
            }
            items.push(item);
        }
        Ok(items)
    }
}

/// A number that is not negative.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
pub(crate) struct Amount(pub(crate) f64);

impl TryFrom<f64> for Amount {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        match number {
            number if number < 0.0 => Err(format!("found {number}, expected 0 or more")),
            // The sum turns -0.0 into 0.0.
            number => Ok(Self(number + 0.0)),
        }
    }
}

/// A field that may be left out, but not be null.
pub(crate) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(source: &str) -> String {
        let problem = fields(source).unwrap_err();
        format!("{}: {}", problem.place, problem.message)
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_line() {
        for (source, expected) in [
            ("[\n1, NaN]", "line 2: 'NaN' is not a number"),
            ("[\n-Infinity]", "line 2: 'Infinity' is not a number"),
            ("[\n1, 2", "line 2: the file ends too early"),
            ("[]\n[]", "line 2: trailing characters"),
            ("[\n01]", "line 2: invalid number"),
            ("\n{\"a\":\n1,\n\n\"\\u0061\": 2}", ": 'a' is given twice"),
        ] {
            let refusal = refusal(source);
            assert!(refusal.starts_with(expected), "{refusal}");
        }
    }

    #[test]
    fn a_number_is_finite_and_rounded_correctly() {
        let number = |source| parse::<f64>(source).map_err(|problem| problem.message);
        assert_eq!(number("1e23").unwrap(), 1e23);
        assert_eq!(number("9007199254740993.0").unwrap(), 9_007_199_254_740_992.0);
        assert_eq!(number("1e999").unwrap_err(), "the number is too large");
        assert_eq!(number("-1e999").unwrap_err(), "the number is too large");
        assert_eq!(number("true").unwrap_err(), "found boolean 'true', expected a number");
    }

    #[test]
    fn nesting_deeper_than_any_stack_is_read() {
        let deep = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
        assert_eq!(fields(&format!("{{\"a\": {deep}}}")).unwrap().len(), 1);
        assert_eq!(parse::<String>(&deep).unwrap_err().message, "found a list, expected a string");
    }

    #[test]
    fn a_list_that_is_too_long_is_refused() {
        let long = format!("[{}0]", "0,".repeat(MAX_ITEMS));
        let problem = parse::<List<f64>>(&long).err().unwrap();
        assert_eq!(problem.message, "the list has more than 1000000 entries");
    }

    #[test]
    fn text_from_the_file_is_kept_short_and_printable() {
        assert_eq!(short("a\u{1b}b"), r"a\u{1b}b");
        assert_eq!(short(&"x".repeat(81)), format!("{}...", "x".repeat(80)));
    }
}
