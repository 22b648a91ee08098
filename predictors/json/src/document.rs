//! JSON that knows its lines.
//!
//! A [`Node`] is a slice of the file's text: whatever turns out to be wrong with it, however
//! late, its line can still be counted. Values are read one layer at a time and only as deep as
//! the format goes, so the nesting of a file never reaches the stack.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// The longest list that is read: the rows of a table.
pub(crate) const MAX_ITEMS: usize = 1_000_000;

/// The largest object that is read: a map of images.
pub(crate) const MAX_FIELDS: usize = 10_000;

/// How much of a name or a number from the file an error repeats, in characters.
const QUOTED: usize = 80;

/// What is wrong with a file, and where.
#[derive(Debug, PartialEq)]
pub(crate) struct Problem {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// The file's bytes as text.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        let message = "the file starts with a byte order mark; save it as UTF-8 without one";
        return Err(Problem { line: 1, message: message.into() });
    }
    std::str::from_utf8(bytes).map_err(|error| Problem {
        line: line_at(bytes, error.valid_up_to()),
        message: "this is not UTF-8; save the file as UTF-8 without a byte order mark".into(),
    })
}

/// A value in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'a> {
    /// The whole file.
    source: &'a str,
    /// The value's slice of it, which is well-formed JSON but for the escapes in strings.
    text: &'a str,
    /// What messages call the value; empty when it has no name.
    name: &'static str,
}

impl<'a> Node<'a> {
    /// The value that a whole file is. All of its syntax is checked here.
    pub(crate) fn parse(source: &'a str) -> Result<Self, Problem> {
        let whole = Self { source, text: source, name: "" };
        match serde_json::from_str::<&RawValue>(source) {
            Ok(raw) => Ok(whole.part(raw)),
            Err(error) => Err(whole.refusal(&error)),
        }
    }

    /// The same value, called by a name in messages.
    pub(crate) fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// The line on which the value begins.
    pub(crate) fn line(self) -> usize {
        let offset = (self.text.as_ptr() as usize).saturating_sub(self.source.as_ptr() as usize);
        line_at(self.source.as_bytes(), offset)
    }

    /// Something is wrong with this value.
    pub(crate) fn problem(self, message: impl Into<String>) -> Problem {
        Problem { line: self.line(), message: message.into() }
    }

    pub(crate) fn is_object(self) -> bool {
        self.text.starts_with('{')
    }

    /// The fields of an object, each of which stands there once.
    pub(crate) fn object(self) -> Result<Object<'a>, Problem> {
        if !self.is_object() {
            return Err(self.expected("an object"));
        }
        let pairs = serde_json::Deserializer::from_str(self.text)
            .deserialize_map(Fields)
            .map_err(|error| self.refusal(&error))?;
        let mut fields = Vec::with_capacity(pairs.len());
        let mut seen = BTreeMap::new();
        for (key, value) in pairs {
            let (key, value) = (self.part(key), self.part(value));
            let name = key.string()?;
            if let Some(first) = seen.insert(name.clone(), key) {
                let message =
                    format!("{} was given before, in line {}", quoted(&name), first.line());
                return Err(key.problem(message));
            }
            fields.push(Field { name, key, value });
        }
        Ok(Object { node: self, fields })
    }

    /// The values of a list.
    pub(crate) fn list(self) -> Result<impl ExactSizeIterator<Item = Self>, Problem> {
        if !self.text.starts_with('[') {
            return Err(self.expected("a list"));
        }
        let items = serde_json::Deserializer::from_str(self.text)
            .deserialize_seq(Items)
            .map_err(|error| self.refusal(&error))?;
        Ok(items.into_iter().map(move |raw| self.part(raw).named(self.name)))
    }

    pub(crate) fn string(self) -> Result<String, Problem> {
        if !self.text.starts_with('"') {
            return Err(self.expected("a string"));
        }
        serde_json::from_str(self.text).map_err(|error| self.refusal(&error))
    }

    /// A finite number.
    pub(crate) fn number(self) -> Result<f64, Problem> {
        if !self.text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Err(self.expected("a number"));
        }
        // What JSON calls a number Rust reads as well, rounded correctly.
        match self.text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(self.problem(format!("the number {} is too large", quoted(self.text)))),
        }
    }

    /// A finite number that is not negative.
    pub(crate) fn amount(self) -> Result<f64, Problem> {
        match self.number()? {
            number if number < 0.0 => Err(self.expected("0 or more")),
            // The sum turns -0.0 into 0.0.
            number => Ok(number + 0.0),
        }
    }

    fn expected(self, expected: &str) -> Problem {
        let found = match self.text.bytes().next() {
            Some(b'{') => "an object".to_owned(),
            Some(b'[') => "a list".to_owned(),
            Some(b'"') => "a string".to_owned(),
            _ => quoted(self.text),
        };
        let place = match self.name {
            "" => String::new(),
            name => format!(" for '{name}'"),
        };
        self.problem(format!("found {found}{place}, expected {expected}"))
    }

    fn part(self, raw: &'a RawValue) -> Self {
        Self { source: self.source, text: raw.get(), name: "" }
    }

    /// What serde_json says about the text of this value.
    fn refusal(self, error: &serde_json::Error) -> Problem {
        let line = self.line() + error.line().saturating_sub(1);
        let text = error.to_string();
        let reason = text.rsplit_once(" at line ").map_or(&*text, |(reason, _)| reason);
        let rest = self
            .text
            .lines()
            .nth(error.line().saturating_sub(1))
            .and_then(|line| line.get(error.column().saturating_sub(1)..))
            .unwrap_or_default();
        let literal = ["NaN", "Infinity"].into_iter().find(|literal| rest.starts_with(literal));
        let message = match literal {
            Some(literal) => format!("'{literal}' is no number in JSON"),
            None if error.is_eof() => format!("the file ends too early: {reason}"),
            None => reason.to_owned(),
        };
        Problem { line, message }
    }
}

/// The fields of an object in the file.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    pub(crate) node: Node<'a>,
    pub(crate) fields: Vec<Field<'a>>,
}

/// One field of an object.
#[derive(Debug)]
pub(crate) struct Field<'a> {
    pub(crate) name: String,
    pub(crate) key: Node<'a>,
    pub(crate) value: Node<'a>,
}

impl<'a> Object<'a> {
    /// Refuses fields that are in none of the groups of names.
    pub(crate) fn only(&self, groups: &[&[&str]]) -> Result<(), Problem> {
        let known = groups.concat();
        match self.fields.iter().find(|field| !known.contains(&&*field.name)) {
            Some(field) => Err(field.key.problem(format!(
                "unknown field {}, expected one of {}",
                quoted(&field.name),
                known.join(", ")
            ))),
            None => Ok(()),
        }
    }

    pub(crate) fn find(&self, name: &'static str) -> Option<Node<'a>> {
        let field = self.fields.iter().find(|field| field.name == name)?;
        Some(field.value.named(name))
    }

    pub(crate) fn required(&self, name: &'static str) -> Result<Node<'a>, Problem> {
        self.find(name).ok_or_else(|| self.node.problem(format!("the field '{name}' is missing")))
    }

    /// A string that may be left out.
    pub(crate) fn string(&self, name: &'static str) -> Result<Option<String>, Problem> {
        self.find(name).map(Node::string).transpose()
    }
}

/// Text from the file, short and printable.
pub(crate) fn quoted(text: &str) -> String {
    let start: String = text.chars().take(QUOTED).flat_map(char::escape_debug).collect();
    let end = if text.chars().nth(QUOTED).is_some() { "..." } else { "" };
    format!("'{start}{end}'")
}

fn line_at(bytes: &[u8], offset: usize) -> usize {
    bytes.iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// Keeps the values of a list as slices of the text.
struct Items;

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() == MAX_ITEMS {
                return Err(A::Error::custom(format!(
                    "the list has more than {MAX_ITEMS} entries"
                )));
            }
            items.push(item);
        }
        Ok(items)
    }
}

/// Keeps the names and values of an object as slices of the text.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            if pairs.len() == MAX_FIELDS {
                return Err(A::Error::custom(format!(
                    "the object has more than {MAX_FIELDS} fields"
                )));
            }
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(source: &str, read: impl Fn(Node<'_>) -> Option<Problem>) -> (usize, String) {
        let problem = Node::parse(source).map_or_else(Some, read).unwrap();
        (problem.line, problem.message)
    }

    #[test]
    fn a_field_given_twice_names_both_lines() {
        let (line, message) =
            problem("\n{\"a\":\n1,\n\n\"\\u0061\": 2}", |node| node.object().err());
        assert_eq!((line, &*message), (5, "'a' was given before, in line 2"));
    }

    #[test]
    fn a_broken_string_inside_names_its_own_line() {
        let (line, message) = problem("{\n\n\"\\ud800\": 1}", |node| node.object().err());
        assert_eq!(line, 3, "{message}");
    }

    #[test]
    fn what_json_cannot_write_is_called_by_its_name() {
        for (source, expected) in [
            ("[\n1, NaN]", "'NaN' is no number"),
            ("[\n-Infinity]", "'Infinity' is no number"),
            ("[\n1, 2", "the file ends too early"),
            ("[]\n[]", "trailing characters"),
            ("[\n01]", "invalid number"),
        ] {
            let (line, message) = problem(source, |_| None);
            assert_eq!(line, 2, "{message}");
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_number_is_finite_and_rounded_correctly() {
        let number = |source| Node::parse(source).unwrap().number();
        assert_eq!(number("1e23").unwrap(), 1e23);
        assert_eq!(number("9007199254740993.0").unwrap(), 9_007_199_254_740_992.0);
        assert_eq!(number("1e999").unwrap_err().message, "the number '1e999' is too large");
        assert_eq!(number("-1e999").unwrap_err().message, "the number '-1e999' is too large");
        assert_eq!(number("true").unwrap_err().message, "found 'true', expected a number");
    }

    #[test]
    fn nesting_deeper_than_any_stack_is_read() {
        let deep = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
        assert_eq!(Node::parse(&deep).unwrap().list().unwrap().len(), 1);
    }

    #[test]
    fn a_list_too_long_to_be_meant_is_refused() {
        let long = format!("[{}0]", "0,".repeat(MAX_ITEMS));
        let (_, message) = problem(&long, |node| node.list().err());
        assert_eq!(message, "the list has more than 1000000 entries");
    }

    #[test]
    fn text_from_the_file_is_kept_short_and_printable() {
        assert_eq!(quoted("a\u{1b}b"), r"'a\u{1b}b'");
        assert_eq!(quoted(&"x".repeat(81)), format!("'{}...'", "x".repeat(80)));
    }
}
