use std::{ffi::c_char, fmt, sync::OnceLock};

use hyperfake_plugin_abi::{Descriptor, ERROR, OK, PANIC, RANDOM, RE_ENTRANT, Status};
use hyperfake_predictor::{Error, Result};

use crate::{
    descriptor::{self, Checked},
    error_buffer::{ErrorBuffer, Reason},
};

/// A plugin whose descriptor is sound. What all its models and instances share.
#[derive(Debug)]
pub(crate) struct Plugin {
    pub(crate) descriptor: Checked,
    /// Why none of its functions is called any more.
    quarantine: OnceLock<String>,
}

/// A plugin's function, for messages.
#[derive(Debug, Clone, Copy, PartialEq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Function {
    Create,
    Predict,
    PredictBatch,
    Draw,
    Destroy,
}

impl Plugin {
    /// # Safety
    ///
    /// As [`descriptor::check`], and what passes it keeps the contract in the header.
    pub(crate) unsafe fn new(descriptor: *const Descriptor) -> Result<Self> {
        // SAFETY: the caller says so.
        let descriptor = unsafe { descriptor::check(descriptor) }?;
        Ok(Self { descriptor, quarantine: OnceLock::new() })
    }

    pub(crate) fn is_re_entrant(&self) -> bool {
        self.descriptor.flags & RE_ENTRANT != 0
    }

    pub(crate) fn is_random(&self) -> bool {
        self.descriptor.flags & RANDOM != 0
    }

    pub(crate) fn knows_distributions(&self) -> bool {
        self.descriptor.draw.is_some()
    }

    pub(crate) fn is_in_quarantine(&self) -> bool {
        self.quarantine.get().is_some()
    }

    /// Calls one of the functions, unless the plugin is in quarantine, and turns its status into a
    /// result: the one place that does.
    pub(crate) fn call(
        &self,
        function: Function,
        buffer: &mut ErrorBuffer,
        call: impl FnOnce(*mut c_char, usize) -> Status,
    ) -> Result<()> {
        if let Some(reason) = self.quarantine.get() {
            return Err(self.error(format_args!("is in quarantine: {reason}")));
        }
        let (error, error_capacity) = buffer.for_call();
        match call(error, error_capacity) {
            OK => Ok(()),
            status => Err(self.failure(function, status, buffer.take())),
        }
    }

    /// An error with the plugin's name.
    pub(crate) fn error(&self, what: impl fmt::Display) -> Error {
        let Checked { name, version, .. } = &self.descriptor;
        Error::internal(format!("the plugin '{name}' {version} {what}"))
    }

    #[cold]
    fn failure(&self, function: Function, status: Status, reason: Reason) -> Error {
        let text = if reason.text.is_empty() { "it did not say why" } else { &reason.text };
        if reason.overrun {
            return self.quarantine(format!("{function} wrote beyond its error buffer: {text}"));
        }
        match status {
            PANIC => self.quarantine(format!("{function} panicked: {text}")),
            ERROR if function == Function::Create => {
                let Checked { name, version, .. } = &self.descriptor;
                let message = format!("the plugin '{name}' {version} cannot be created: {text}");
                Error::invalid(message)
            }
            ERROR => self.error(format_args!("failed in {function}: {text}")),
            other => self.error(format_args!(
                "returned {other} from {function}, expected {OK}, {ERROR} or {PANIC}: {text}"
            )),
        }
    }

    /// Puts the plugin in quarantine. Of several threads' reasons the first one stays.
    fn quarantine(&self, reason: String) -> Error {
        let error = self.error(format_args!("is put in quarantine: {reason}"));
        if self.quarantine.set(reason).is_ok() {
            tracing::error!("{error}");
        }
        error
    }
}
