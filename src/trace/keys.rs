//! The names of functions, and numbers that depend on them alone: a function has the same arrivals whichever
//! others are replayed.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// The functions of a trace, by the names that tell them apart.
#[derive(Debug, Default)]
pub(super) struct Keys {
    places: HashMap<Box<[u8]>, u32, RandomState>,
    /// Of the last name that was looked up; kept because it is as large again the next time.
    name: Vec<u8>,
}

/// What became of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is new, and has this place.
    New(u32),
    /// It was there.
    Known(u32),
}

impl Keys {
    /// The place of the function with these names, which is the next one if it is new.
    pub(super) fn place(&mut self, names: &[&[u8]]) -> Place {
        join(names, &mut self.name);
        if let Some(place) = self.places.get(&*self.name) {
            return Place::Known(*place);
        }
        let next = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.insert(self.name.as_slice().into(), next);
        Place::New(next)
    }

    /// The place of the function with these names, if there is one.
    pub(super) fn find(&mut self, names: &[&[u8]]) -> Option<u32> {
        join(names, &mut self.name);
        self.places.get(&*self.name).copied()
    }

    /// The names of all functions, each joined, by their places.
    pub(super) fn names(&self) -> Vec<&[u8]> {
        let mut names = vec![&[][..]; self.places.len()];
        self.places.iter().for_each(|(name, place)| names[*place as usize] = name);
        names
    }

    /// The number of the name that was looked up last.
    pub(super) fn key(&self) -> u64 {
        key(&self.name)
    }
}

/// Names do not hold a line feed.
fn join(names: &[&[u8]], joined: &mut Vec<u8>) {
    joined.clear();
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            joined.push(b'\n');
        }
        joined.extend_from_slice(name);
    }
}

/// A number that depends on these bytes (FNV-1a, 64 bits, mixed): the same in every build.
pub(super) fn key(name: &[u8]) -> u64 {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hyperfake_predictor::Random::new(hash, 0).bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_by_all_their_parts() {
        let mut keys = Keys::default();
        assert_eq!(keys.place(&[b"a", b"bc"]), Place::New(0));
        let first = keys.key();
        assert_eq!(keys.place(&[b"ab", b"c"]), Place::New(1));
        assert_ne!(keys.key(), first);
        assert_eq!(keys.place(&[b"a", b"bc"]), Place::Known(0));
        assert_eq!(keys.key(), first);
        assert_eq!((keys.find(&[b"ab", b"c"]), keys.find(&[b"c"])), (Some(1), None));
    }
}
