//! YAML as a tree with positions. A file is limited in size and depth, and cannot refer to parts of itself.

use std::{borrow::Cow, collections::HashSet};

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::mistake::{Mistake, Position};

/// A value, and where it begins.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) at: Position,
    pub(super) value: Value<'a>,
}

#[derive(Debug)]
pub(super) enum Value<'a> {
    /// Text, and whether it is without quotation marks.
    Scalar {
        text: Cow<'a, str>,
        is_plain: bool,
    },
    List(Vec<Node<'a>>),
    Map(Vec<(Key<'a>, Node<'a>)>),
}

/// A key of a map, and where it is.
#[derive(Debug)]
pub(super) struct Key<'a> {
    pub(super) at: Position,
    pub(super) name: Cow<'a, str>,
}

/// The deepest that lists and maps are inside each other.
const DEEPEST: usize = 24;

/// Reads a text that is one value. One without a value is an empty map.
///
/// # Errors
///
/// When it is not YAML, or has parts that a scenario has no use for.
pub(super) fn parse(text: &str) -> Result<Node<'_>, Mistake> {
    let options = granit_parser::options! {
        disallow_directives: true,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| not_yaml(&error))?;
        builder.take(event, position(span.start))?;
    }
    let empty = || Node { at: Position::BEGIN, value: Value::Map(Vec::new()) };
    Ok(builder.root.unwrap_or_else(empty))
}

/// Lists and maps that have begun, and the value that has ended last.
#[derive(Default)]
struct Builder<'a> {
    open: Vec<Open<'a>>,
    root: Option<Node<'a>>,
}

struct Open<'a> {
    at: Position,
    value: Value<'a>,
    /// The key whose value comes next.
    key: Option<Key<'a>>,
    seen: HashSet<Cow<'a, str>>,
}

impl<'a> Builder<'a> {
    fn take(&mut self, event: Event<'a>, at: Position) -> Result<(), Mistake> {
        let tag = match &event {
            Event::Scalar(_, _, _, tag)
            | Event::SequenceStart(_, _, tag)
            | Event::MappingStart(_, _, tag) => tag.is_some(),
            _ => false,
        };
        if tag {
            return Err(Mistake::new("found a tag, expected a value without one").at(at));
        }
        match event {
            Event::Scalar(text, style, ..) => {
                let is_plain = style == ScalarStyle::Plain;
                self.add(Node { at, value: Value::Scalar { text, is_plain } })
            }
            Event::SequenceStart(..) => self.begin(at, Value::List(Vec::new())),
            Event::MappingStart(..) => self.begin(at, Value::Map(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { at, value, .. }) => self.add(Node { at, value }),
                None => Ok(()),
            },
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(Mistake::new("found a second document, expected one").at(at))
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                let message = "found an alias (*), expected the value itself: what several functions \
                               share belongs in 'defaults' or in a section with a pattern";
                Err(Mistake::new(message).at(at))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, at: Position, value: Value<'a>) -> Result<(), Mistake> {
        self.expect_no_key(at)?;
        self.open.push(Open { at, value, key: None, seen: HashSet::new() });
        Ok(())
    }

    /// A list or a map cannot be a key.
    fn expect_no_key(&self, at: Position) -> Result<(), Mistake> {
        match self.open.last() {
            Some(Open { value: Value::Map(_), key: None, .. }) => {
                Err(Mistake::new("found a list or a map, expected a key").at(at))
            }
            _ => Ok(()),
        }
    }

    /// A value has ended.
    fn add(&mut self, node: Node<'a>) -> Result<(), Mistake> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.value, open.key.take()) {
            (Value::List(list), _) => list.push(node),
            (Value::Map(map), Some(key)) => map.push((key, node)),
            (_, _) => {
                let Node { at, value: Value::Scalar { text: name, .. } } = node else {
                    return Ok(());
                };
                if !open.seen.insert(name.clone()) {
                    let message = format!("found the key '{}' twice", name.escape_debug());
                    return Err(Mistake::new(message).at(at));
                }
                open.key = Some(Key { at, name });
            }
        }
        Ok(())
    }
}

fn not_yaml(error: &ScanError) -> Mistake {
    Mistake::new(format!("not YAML: {}", error.info())).at(position(*error.marker()))
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}
