/// What a store keeps at most, so that no client can fill the memory.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Keys.
    pub keys: usize,
    /// The bytes of a key.
    pub key_bytes: usize,
    /// The bytes of a value.
    pub value_bytes: usize,
    /// The bytes of all keys and values.
    pub bytes: usize,
    /// Changes that are kept for watchers and for reading older revisions. All changes of the newest
    /// revision are kept, whatever the limits.
    pub history: usize,
    /// The bytes of their keys and values.
    pub history_bytes: usize,
    /// Watchers, and streams of watchers.
    pub watchers: usize,
    /// Writes that wait for the disk, with a file.
    pub waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            keys: 100_000,
            key_bytes: 1024,
            value_bytes: 64 << 10,
            bytes: 64 << 20,
            // A deletion of every key is one revision.
            history: 100_000,
            history_bytes: 32 << 20,
            watchers: 1024,
            waiting: 1024,
        }
    }
}

/// Why a request is refused; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key is empty.
    #[error("etcdserver: key is not provided")]
    NoKey,
    /// A key that is to keep its value does not exist.
    #[error("etcdserver: key not found")]
    UnknownKey,
    /// No key can be in the range.
    #[error("mvcc: watcher range is empty")]
    EmptyRange,
    /// Its history is no longer kept. Readable revisions begin with this one.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted(i64),
    /// There is no such revision yet.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    Future,
    /// The key, or the value, is too long.
    #[error("the {what} has {found} bytes, expected at most {limit}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// How long it is.
        found: usize,
        /// How long it may be.
        limit: usize,
    },
    /// There is no room for more.
    #[error("{limit} {what} are kept, and there is room for no more: {advice}")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
        /// What to do.
        advice: &'static str,
    },
    /// The file cannot be written; the text says why.
    #[error("--functions-file cannot be written: {0}")]
    Unwritten(String),
    /// The store has been closed.
    #[error("the store is closed: this worker is shutting down")]
    Closed,
}
