use std::{fmt, net::Ipv4Addr, str::FromStr};

/// Names an instance: 12 hexadecimal characters on the wire, 48 bits here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(u64);

impl InstanceId {
    /// The id with these random bits, of which 48 count. That two instances draw the same is for the
    /// caller to rule out.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits >> 16)
    }

    /// The 12 characters.
    #[must_use]
    pub fn text(self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |place: u64| char::from(DIGITS[(self.0 >> (44 - 4 * place)) as usize & 0xf]);
        let mut text = String::with_capacity(12);
        text.extend((0..12).map(digit));
        text
    }

    /// A name that a person can remember and tell from others, derived from the id.
    #[must_use]
    pub fn name(self) -> String {
        let pick = |words: &[&'static str], bits: u64| words[bits as usize % words.len()];
        let (first, second) = (pick(&QUALITIES, self.0 >> 40), pick(&BIRDS, self.0 >> 32));
        format!("{first}-{second}-{:04x}", self.0 & 0xffff)
    }

    /// The address that the container would have, in Docker's default network. Nothing listens
    /// there.
    #[must_use]
    pub fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(172, 17, (self.0 >> 8) as u8, self.0 as u8)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl FromStr for InstanceId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() != 12 || !text.bytes().all(digit) {
            return Err(NotAnId);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| NotAnId)
    }
}

/// A text that is no instance id, and so names no instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnId;

const QUALITIES: [&str; 32] = [
    "able", "amber", "brave", "brisk", "calm", "clear", "cool", "early", "fair", "fleet", "fond",
    "fresh", "glad", "grand", "green", "jolly", "keen", "kind", "lively", "lucky", "mellow",
    "mild", "neat", "plain", "proud", "quick", "quiet", "royal", "sunny", "swift", "tidy", "warm",
];

const BIRDS: [&str; 32] = [
    "auk", "bittern", "crane", "crow", "curlew", "dipper", "dove", "eider", "falcon", "finch",
    "gannet", "godwit", "goose", "grebe", "gull", "heron", "ibis", "jay", "kite", "lark", "linnet",
    "martin", "merlin", "osprey", "owl", "plover", "raven", "robin", "stork", "swan", "tern",
    "wren",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_is_12_hex_characters_that_parse_back(bits in 0u64..1 << 48) {
            let text = InstanceId(bits).to_string();
            prop_assert_eq!(text.len(), 12);
            prop_assert!(text.bytes().all(|c| c.is_ascii_hexdigit()));
            prop_assert_eq!(text.parse(), Ok(InstanceId(bits)));
        }

        #[test]
        fn any_other_text_is_no_id(text in ".{0,20}") {
            if let Ok(id) = text.parse::<InstanceId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn a_name_is_two_words_and_four_digits() {
        let name = InstanceId(0x0102_0304_abcd).name();
        assert_eq!(name, "amber-crane-abcd");
        assert_eq!("0102 304abcd".parse::<InstanceId>(), Err(NotAnId));
        assert_eq!("+10203040506".parse::<InstanceId>(), Err(NotAnId));
    }
}
