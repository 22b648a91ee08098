use std::{fmt, str::FromStr};

/// A share of calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(f64);

impl Share {
    /// All calls.
    pub const ALL: Self = Self(1.0);

    /// Whether a call with this hash is one of them.
    #[must_use]
    pub fn has(self, hash: u64) -> bool {
        /// One more than the largest hash, as exact as a hash's first 53 bits.
        const HASHES: f64 = 18_446_744_073_709_551_616.0;
        (hash >> 11 << 11) as f64 / HASHES < self.0
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self(share)),
            _ => Err(format!("found '{text}', expected a number from 0 to 1, such as 0.01")),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(text: &str) -> Share {
        text.parse().unwrap()
    }

    #[test]
    fn a_share_of_hashes_is_as_large_as_it_says() {
        for (text, least, most) in [("0", 0, 0), ("0.25", 2400, 2600), ("1", 10_000, 10_000)] {
            let hashes = (0..10_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let taken = hashes.filter(|hash| share(text).has(*hash)).count();
            assert!((least..=most).contains(&taken), "{text}: {taken}");
        }
        assert!(share("1").has(u64::MAX) && !share("0").has(0));
        // A call of a small share is one of each larger share.
        assert!(share("0.3").has(u64::MAX / 4) && share("0.9").has(u64::MAX / 4));
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in ["", "-0.1", "1.01", "NaN", "10%", "inf"] {
            let error = text.parse::<Share>().unwrap_err();
            assert_eq!(
                error,
                format!("found '{text}', expected a number from 0 to 1, such as 0.01")
            );
        }
    }
}
