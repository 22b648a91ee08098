//! Values that are text in a file, such as `250ms`.

use std::{borrow::Cow, fmt, marker::PhantomData, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// A value with a spelling. `Display` is one that is read as the same value; an error of `FromStr` says
/// what was expected.
pub(in crate::scenario) trait Spelled:
    FromStr<Err = String> + fmt::Display
{
    /// The name of its schema.
    const NAME: &'static str;
    /// What is expected, for errors.
    const EXPECTED: &'static str;
    /// Which JSON it is.
    fn schema() -> Schema;
}

/// A value that is written as its spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scenario) struct Word<T>(pub(in crate::scenario) T);

/// A value that is written as its spelling, or as keys with values.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::scenario) enum WordOr<T, M> {
    Word(T),
    Keys(M),
}

fn read<T: Spelled, E: de::Error>(text: &str) -> Result<T, E> {
    text.parse().map_err(|expected| {
        let shown: String = text.chars().take(60).collect();
        E::custom(format!("found '{}', {expected}", shown.escape_debug()))
    })
}

/// Writes a number as a number.
fn spelling<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    let text = value.to_string();
    match text.parse() {
        Ok(number) => serializer.serialize_u64(number),
        Err(_) => serializer.serialize_str(&text),
    }
}

impl<T: Spelled> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        spelling(&self.0, serializer)
    }
}

impl<'de, T: Spelled> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(PhantomData<T>);

        impl<T: Spelled> Visitor<'_> for Text<T> {
            type Value = Word<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Word<T>, E> {
                read(text).map(Word)
            }
        }

        deserializer.deserialize_any(Text(PhantomData))
    }
}

impl<T: Spelled> JsonSchema for Word<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        T::schema()
    }
}

impl<T: Spelled, M: Serialize> Serialize for WordOr<T, M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Word(word) => spelling(word, serializer),
            Self::Keys(keys) => keys.serialize(serializer),
        }
    }
}

impl<'de, T: Spelled, M: Deserialize<'de>> Deserialize<'de> for WordOr<T, M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T, M>(PhantomData<(T, M)>);

        impl<'de, T: Spelled, M: Deserialize<'de>> Visitor<'de> for Either<T, M> {
            type Value = WordOr<T, M>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}, or keys with values", T::EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<WordOr<T, M>, E> {
                read(text).map(WordOr::Word)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WordOr<T, M>, A::Error> {
                M::deserialize(MapAccessDeserializer::new(map)).map(WordOr::Keys)
            }
        }

        deserializer.deserialize_any(Either(PhantomData))
    }
}

impl<T: Spelled, M: JsonSchema> JsonSchema for WordOr<T, M> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}-or-{}", T::NAME, M::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let word = generator.subschema_for::<Word<T>>();
        let keys = generator.subschema_for::<M>();
        json_schema!({ "anyOf": [word, keys] })
    }
}
