//! Numbers and tables as people read them.

pub mod format;
