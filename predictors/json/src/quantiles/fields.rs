//! The numbers of the kind `quantiles`, as they are in the file.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor, value::SeqAccessDeserializer},
};

use crate::document::{Amount, List};

/// The edges of the bins of each feature, as they are in the file.
pub(crate) type Edges = List<List<Amount>>;

/// The quantiles of a result in each bin, as they are in the file.
pub(crate) type Lists = List<List<Quantile>>;

/// What a result may be in the file.
pub(crate) enum Numbers {
    Same(Amount),
    Bins(Lists),
}

/// A share of all calls.
#[derive(Deserialize)]
#[serde(try_from = "f64")]
pub(crate) struct Level(pub(super) f64);

impl TryFrom<f64> for Level {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        match (0.0..=1.0).contains(&number) {
            true => Ok(Self(number)),
            false => Err(format!("found {number}, expected a level from 0 to 1")),
        }
    }
}

/// A larger quantile is a mistake, and the mean of some of them could be infinite.
const MAX_QUANTILE: f64 = 1e100;

/// A result that a share of all calls does not exceed.
#[derive(Deserialize)]
#[serde(try_from = "f64")]
pub(crate) struct Quantile(pub(super) f64);

impl TryFrom<f64> for Quantile {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        if number <= 0.0 {
            return Err(format!("found {number}, expected more than 0"));
        }
        if number > MAX_QUANTILE {
            return Err(format!("found {number:e}, expected at most {MAX_QUANTILE:e}"));
        }
        Ok(Self(number))
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumbersVisitor)
    }
}

struct NumbersVisitor;

impl<'de> Visitor<'de> for NumbersVisitor {
    type Value = Numbers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a list of lists of quantiles")
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Numbers, E> {
        Amount::try_from(number).map(Numbers::Same).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Numbers, E> {
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Numbers, E> {
        self.visit_f64(number as f64)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Numbers, A::Error> {
        List::deserialize(SeqAccessDeserializer::new(list)).map(Numbers::Bins)
    }
}
