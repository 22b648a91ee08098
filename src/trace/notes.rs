use std::borrow::Cow;

use serde::Serialize;

/// What was left out of a trace or changed, so that nothing is so silently.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Notes(Vec<Note>);

/// One kind of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What became of it.
    pub effect: Effect,
    /// What it is, in the plural, such as `rows that repeat a function`.
    pub what: Cow<'static, str>,
    /// How many.
    pub count: u64,
    /// The calls of these, if they have calls of their own.
    pub calls: u64,
    /// The first one.
    pub first: String,
}

/// What became of something in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is not replayed.
    LeftOut,
    /// It is replayed in another way than it stands there.
    Changed,
}

impl Notes {
    /// Counts one, which has so many calls; `first` says where it is.
    pub fn add(
        &mut self,
        effect: Effect,
        what: impl Into<Cow<'static, str>>,
        calls: u64,
        first: impl FnOnce() -> String,
    ) {
        let what = what.into();
        match self.0.iter_mut().find(|note| note.effect == effect && note.what == what) {
            Some(note) => {
                note.count += 1;
                note.calls += calls;
            }
            None => self.0.push(Note { effect, what, count: 1, calls, first: first() }),
        }
    }

    /// All of them, in the order in which they were met.
    pub fn iter(&self) -> impl Iterator<Item = &Note> {
        self.0.iter()
    }

    /// How many there are of this kind.
    #[must_use]
    pub fn count(&self, what: &str) -> u64 {
        self.0.iter().filter(|note| note.what == what).map(|note| note.count).sum()
    }
}
