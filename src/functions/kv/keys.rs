use std::ops::Bound;

use bytes::Bytes;

/// One key, or a range of them, as etcd's requests name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// This key.
    One(Bytes),
    /// Every key from this one on.
    From(Bytes),
    /// Every key from the first on, up to but not including the second.
    Between(Bytes, Bytes),
}

impl Keys {
    /// As a request says it: `range_end` is empty for one key, and a zero byte for all from `key` on.
    #[must_use]
    pub fn new(key: Bytes, range_end: Bytes) -> Self {
        match range_end.as_ref() {
            [] => Self::One(key),
            [0] => Self::From(key),
            _ => Self::Between(key, range_end),
        }
    }

    /// Every key that begins with these bytes; the last of them is not 255.
    #[must_use]
    pub fn below(prefix: &str) -> Self {
        let mut end = prefix.as_bytes().to_vec();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self::Between(Bytes::copy_from_slice(prefix.as_bytes()), end.into())
    }

    /// Whether this key is meant.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        match self {
            Self::One(one) => one == key,
            Self::From(first) => first.as_ref() <= key,
            Self::Between(first, end) => first.as_ref() <= key && key < end.as_ref(),
        }
    }

    /// Whether no key can be meant.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Between(first, end) if first >= end)
    }

    pub(super) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        match self {
            Self::One(key) => (Bound::Included(key), Bound::Included(key)),
            Self::From(first) => (Bound::Included(first), Bound::Unbounded),
            Self::Between(first, end) => (Bound::Included(first), Bound::Excluded(end)),
        }
    }

    /// As a request says it: `key` and `range_end`.
    #[must_use]
    pub fn into_request(self) -> (Bytes, Bytes) {
        match self {
            Self::One(key) => (key, Bytes::new()),
            Self::From(first) => (first, Bytes::from_static(&[0])),
            Self::Between(first, end) => (first, end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_what_a_request_says() {
        let keys = |key: &'static str, end: &'static str| Keys::new(key.into(), end.into());
        for (keys, inside, outside) in [
            (keys("b", ""), &["b"][..], &["a", "ba", ""][..]),
            (keys("b", "\0"), &["b", "ba", "z"], &["a", ""]),
            (keys("b", "d"), &["b", "c", "cz"], &["a", "d", "da"]),
            (keys("d", "b"), &[], &["a", "b", "c", "d"]),
            (Keys::below("f/"), &["f/", "f/a"], &["f", "f0", "g"]),
        ] {
            assert!(inside.iter().all(|key| keys.contains(key.as_bytes())), "{keys:?}");
            assert!(!outside.iter().any(|key| keys.contains(key.as_bytes())), "{keys:?}");
            let (key, end) = keys.clone().into_request();
            assert_eq!(Keys::new(key, end), keys);
        }
        assert!(keys("d", "b").is_empty() && !keys("b", "d").is_empty());
    }
}
