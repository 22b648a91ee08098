use std::sync::Arc;

use hyperfake_predictor::{Error, Result};

use super::{Config, Exported};
use crate::{
    clock::Clock,
    record::{CodeName, Sink},
};

/// What cannot be had in a program that was built without it: [`Config::new`] refuses it.
#[derive(Debug)]
pub enum Exporter {}

impl Exporter {
    /// Fails.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn start(_: &Config, _: Clock, _: CodeName) -> Result<Self> {
        Err(Error::unsupported("this program was built without OpenTelemetry"))
    }

    /// What workers tell of calls.
    #[must_use]
    pub fn sink(&self) -> Arc<dyn Sink> {
        match *self {}
    }

    /// Sends what waits.
    pub fn finish(self) -> Exported {
        match self {}
    }
}
