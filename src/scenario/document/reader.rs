//! Types are made of a tree, and errors know where in the file they are: the library that reads YAML cannot
//! tell for what the types themselves refuse.

use std::{borrow::Cow, fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use super::{
    mistake::{Mistake, Position},
    yaml::{Key, Node, Value},
};

/// A value, and where it begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::scenario) struct Located<T> {
    pub(in crate::scenario) at: Position,
    pub(in crate::scenario) value: T,
}

/// Asks the reader for a position.
const LOCATED: &str = "a value and its position";

impl<T: Serialize> Serialize for Located<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Parts<T> {
            type Value = Located<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(LOCATED)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Located<T>, A::Error> {
                let missing = || de::Error::custom("expected a value with its position");
                let line = parts.next_element()?.ok_or_else(missing)?;
                let column = parts.next_element()?.ok_or_else(missing)?;
                let value = parts.next_element()?.ok_or_else(missing)?;
                Ok(Located { at: Position { line, column }, value })
            }
        }

        deserializer.deserialize_tuple_struct(LOCATED, 3, Parts(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl Value<'_> {
    fn is_null(&self) -> bool {
        let Self::Scalar { text, is_plain: true } = self else { return false };
        matches!(&**text, "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node<'_> {
    fn found(&self) -> String {
        match &self.value {
            value if value.is_null() => "nothing".to_owned(),
            Value::Scalar { text, .. } => {
                let shown: String = text.chars().take(60).collect();
                format!("'{}'", shown.escape_debug())
            }
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }

    fn expected(&self, expected: impl fmt::Display) -> Mistake {
        Mistake::new(format!("found {}, expected {expected}", self.found())).at(self.at)
    }

    fn text(&self, expected: &str) -> Result<&str, Mistake> {
        match &self.value {
            Value::Scalar { text, .. } if !self.value.is_null() => Ok(text),
            _ => Err(self.expected(expected)),
        }
    }

    fn number<T: std::str::FromStr>(&self, expected: &str) -> Result<T, Mistake> {
        match &self.value {
            Value::Scalar { text, is_plain: true } => text.parse().ok(),
            _ => None,
        }
        .ok_or_else(|| self.expected(expected))
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $number:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
            let expected = format!("a whole number from {} to {}", <$number>::MIN, <$number>::MAX);
            let number = self.number::<$number>(&expected)?;
            visitor.$visit(number).map_err(|mistake: Mistake| mistake.at(self.at))
        }
    )*};
}

impl<'de> Deserializer<'de> for &'de Node<'de> {
    type Error = Mistake;

    /// What has several forms looks at the form: scalars are text.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let read = match &self.value {
            Value::Scalar { .. } if self.value.is_null() => visitor.visit_unit(),
            Value::Scalar { text, .. } => visitor.visit_borrowed_str(text),
            Value::List(list) => visitor.visit_seq(List(list.iter())),
            Value::Map(map) => visitor.visit_map(Map { entries: map.iter(), value: None }),
        };
        read.map_err(|mistake| mistake.at(self.at))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let read = visitor.visit_bool(self.number("true or false")?);
        read.map_err(|mistake: Mistake| mistake.at(self.at))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let number: f64 = self.number("a number")?;
        if !number.is_finite() {
            return Err(self.expected("a number"));
        }
        visitor.visit_f64(number).map_err(|mistake: Mistake| mistake.at(self.at))
    }

    whole_numbers!(
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_i64 visit_i64 i64
    );

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let read = visitor.visit_borrowed_str(self.text("text")?);
        read.map_err(|mistake: Mistake| mistake.at(self.at))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match &self.value {
            Value::List(list) => visitor.visit_seq(List(list.iter())),
            _ => Err(self.expected("a list")),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match name {
            LOCATED => visitor.visit_seq(Parts { at: self.at, value: Some(self), given: 0 }),
            _ => self.deserialize_seq(visitor),
        }
    }

    /// A section without keys may stay empty.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let entries = match &self.value {
            Value::Map(map) => map.iter(),
            value if value.is_null() => [].iter(),
            _ => return Err(self.expected("keys with values")),
        };
        let read = visitor.visit_map(Map { entries, value: None });
        read.map_err(|mistake| mistake.at(self.at))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let text = self.text("one of some words")?;
        let read = visitor.visit_enum(text.into_deserializer());
        read.map_err(|mistake: Mistake| mistake.at(self.at))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u128 f32 char bytes byte_buf unit unit_struct tuple identifier ignored_any
    }
}

impl<'de> Deserializer<'de> for &'de Key<'de> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_borrowed_str(&self.name)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let name = de::value::BorrowedStrDeserializer::new(&self.name);
        visitor.visit_seq(Parts { at: self.at, value: Some(name), given: 0 })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple map struct enum identifier ignored_any
    }
}

/// The line, the column and the value of something.
struct Parts<D> {
    at: Position,
    value: Option<D>,
    given: usize,
}

impl<'de, D: Deserializer<'de, Error = Mistake>> SeqAccess<'de> for Parts<D> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Mistake> {
        self.given += 1;
        let read = match (self.given, self.value.take_if(|_| self.given == 3)) {
            (1, _) => seed.deserialize(self.at.line.into_deserializer()),
            (2, _) => seed.deserialize(self.at.column.into_deserializer()),
            (_, Some(value)) => seed.deserialize(value),
            (_, None) => return Ok(None),
        };
        read.map(Some).map_err(|mistake: Mistake| mistake.at(self.at))
    }
}

struct List<'de>(std::slice::Iter<'de, Node<'de>>);

impl<'de> SeqAccess<'de> for List<'de> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Mistake> {
        let Some(node) = self.0.next() else { return Ok(None) };
        seed.deserialize(node).map(Some).map_err(|mistake| mistake.at(node.at))
    }
}

struct Map<'de> {
    entries: std::slice::Iter<'de, (Key<'de>, Node<'de>)>,
    value: Option<&'de Node<'de>>,
}

impl<'de> MapAccess<'de> for Map<'de> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Mistake> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(key).map(Some).map_err(|mistake| mistake.at(key.at))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mistake> {
        let value = self.value.take().ok_or_else(|| Mistake::new("expected a key first"))?;
        seed.deserialize(value).map_err(|mistake| mistake.at(value.at))
    }
}
