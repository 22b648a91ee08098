use std::{
    ffi::{CString, c_char, c_void},
    path::PathBuf,
    ptr::{self, NonNull},
    sync::Arc,
};

use hyperfake_plugin_abi::{ABI_MAJOR, ABI_MINOR, Features, Host, Prediction, Uniforms};
use hyperfake_predictor::{Error, Output, RawPrediction, Result};

use crate::{
    error_buffer::ErrorBuffer,
    plugin::{Function, Plugin},
};

/// A plugin with a configuration.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) config: CString,
    /// As it was named, for messages.
    pub(crate) path: PathBuf,
}

/// What a plugin made for a model; destroyed when it is dropped.
#[derive(Debug)]
pub(crate) struct Instance {
    model: Arc<Model>,
    pointer: NonNull<c_void>,
}

// SAFETY: by the contract an instance may be used on any thread, by one thread at a time.
unsafe impl Send for Instance {}
// SAFETY: what can be done with a shared instance is unsafe, and asks for what the contract does.
unsafe impl Sync for Instance {}

/// What every output holds before a plugin is asked: a NaN that no arithmetic makes by itself, so
/// that an output that was not written can be told from one that is not a number.
const UNWRITTEN: f64 = f64::from_bits(0x7ff8_756e_7772_6974);

static HOST: Host = Host {
    size: size_of::<Host>() as u32,
    abi_major: ABI_MAJOR,
    abi_minor: ABI_MINOR,
    name: concat!("hyperfake-worker ", env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast::<c_char>(),
};

impl Instance {
    pub(crate) fn create(model: Arc<Model>) -> Result<Self> {
        let plugin = &model.plugin;
        let mut made = ptr::null_mut();
        let mut buffer = ErrorBuffer::new();
        plugin.call(Function::Create, &mut buffer, |error, error_capacity| {
            let (config, config_length) = (model.config.as_ptr(), model.config.count_bytes());
            // SAFETY: every pointer is valid until the function returns, the host's for good; the
            // configuration ends with a zero byte and was checked when it was read.
            unsafe {
                (plugin.descriptor.create)(
                    &raw const HOST,
                    config,
                    config_length,
                    &raw mut made,
                    error,
                    error_capacity,
                )
            }
        })?;
        match NonNull::new(made) {
            Some(pointer) => Ok(Self { pointer, model }),
            None => Err(plugin.error("created nothing: its instance is a null pointer")),
        }
    }

    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// # Safety
    ///
    /// No other call on this instance happens meanwhile, unless its plugin is re-entrant.
    pub(crate) unsafe fn predict(
        &self,
        features: &Features,
        buffer: &mut ErrorBuffer,
    ) -> Result<RawPrediction> {
        let plugin = &self.model.plugin;
        let mut out = unwritten_prediction();
        plugin.call(Function::Predict, buffer, |error, error_capacity| {
            let instance = self.pointer.as_ptr();
            // SAFETY: every pointer is valid until the function returns; the instance is one of this
            // plugin's and not yet destroyed; the caller keeps the rule for threads.
            unsafe {
                (plugin.descriptor.predict)(instance, features, &raw mut out, error, error_capacity)
            }
        })?;
        self.checked(&out, Function::Predict)
    }

    /// `None` if the plugin has no function for this.
    ///
    /// # Safety
    ///
    /// As [`Instance::predict`].
    pub(crate) unsafe fn draw(
        &self,
        features: &Features,
        uniforms: &Uniforms,
        buffer: &mut ErrorBuffer,
    ) -> Option<Result<RawPrediction>> {
        let plugin = &self.model.plugin;
        let draw = plugin.descriptor.draw?;
        let mut out = unwritten_prediction();
        let called = plugin.call(Function::Draw, buffer, |error, error_capacity| {
            let instance = self.pointer.as_ptr();
            // SAFETY: as in `predict`.
            unsafe { draw(instance, features, uniforms, &raw mut out, error, error_capacity) }
        });
        Some(called.and_then(|()| self.checked(&out, Function::Draw)))
    }

    /// Answers are written to `out`, which has the length of `features`. `scratch` is for buffers
    /// that are worth keeping. `None` if the plugin has no function for this.
    ///
    /// # Safety
    ///
    /// As [`Instance::predict`].
    pub(crate) unsafe fn predict_batch(
        &self,
        features: &[Features],
        scratch: &mut Vec<Prediction>,
        out: &mut [RawPrediction],
        buffer: &mut ErrorBuffer,
    ) -> Option<Result<()>> {
        let plugin = &self.model.plugin;
        let predict_batch = plugin.descriptor.predict_batch?;
        if features.is_empty() {
            return Some(Ok(()));
        }
        scratch.clear();
        scratch.resize(features.len(), unwritten_prediction());
        let called = plugin.call(Function::PredictBatch, buffer, |error, error_capacity| {
            let instance = self.pointer.as_ptr();
            let (count, out) = (features.len(), scratch.as_mut_ptr());
            // SAFETY: as in `predict`; both arrays have that many elements.
            unsafe { predict_batch(instance, features.as_ptr(), out, count, error, error_capacity) }
        });
        Some(called.and_then(|()| {
            for (out, raw) in out.iter_mut().zip(&*scratch) {
                *out = self.checked(raw, Function::PredictBatch)?;
            }
            Ok(())
        }))
    }

    /// The prediction, if all of it was written.
    fn checked(&self, out: &Prediction, function: Function) -> Result<RawPrediction> {
        let raw = [out.runtime_ns, out.cpu_cores, out.ram_bytes];
        if raw.iter().all(|value| value.to_bits() != UNWRITTEN.to_bits()) {
            return Ok(RawPrediction::from_array(raw));
        }
        Err(self.unwritten(raw, function))
    }

    #[cold]
    fn unwritten(&self, raw: [f64; 3], function: Function) -> Error {
        let unwritten = Output::ALL.into_iter().zip(raw);
        let names: Vec<_> = unwritten
            .filter(|(_, value)| value.to_bits() == UNWRITTEN.to_bits())
            .map(|(output, _)| output.name())
            .collect();
        self.model.plugin.error(format_args!("left {} unwritten in {function}", names.join(", ")))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let plugin = &self.model.plugin;
        // After a panic no function of the plugin is called, so the memory of its instances leaks.
        if plugin.is_in_quarantine() {
            return;
        }
        let mut buffer = ErrorBuffer::new();
        let destroyed = plugin.call(Function::Destroy, &mut buffer, |error, error_capacity| {
            // SAFETY: made by this plugin and owned by `self`, which is dropped.
            unsafe { (plugin.descriptor.destroy)(self.pointer.as_ptr(), error, error_capacity) }
        });
        if let Err(error) = destroyed {
            // No call is left to return the error to.
            tracing::warn!(model = %self.model.path.display(), "{error}");
        }
    }
}

fn unwritten_prediction() -> Prediction {
    Prediction { runtime_ns: UNWRITTEN, cpu_cores: UNWRITTEN, ram_bytes: UNWRITTEN }
}
