use std::sync::{Arc, Mutex, PoisonError};

use hyperfake_plugin_abi as abi;
use hyperfake_predictor::{
    Feature, Features, ModelInfo, ModelUri, Predictor, RawPrediction, Result, Session, Settings,
    Uniforms, Units,
};

use crate::{
    NAME, config,
    error_buffer::ErrorBuffer,
    instance::{Instance, Model},
    plugin::Plugin,
};

/// A model that a plugin serves.
#[derive(Debug)]
pub(crate) struct PluginPredictor {
    info: ModelInfo,
    model: Arc<Model>,
    /// Made when the model was opened. The first session takes it, or all share it if the plugin is
    /// re-entrant.
    first: Mutex<Option<Arc<Instance>>>,
}

impl PluginPredictor {
    pub(crate) fn open(plugin: Arc<Plugin>, uri: &ModelUri) -> Result<Self> {
        let settings = Settings::read(uri, [].into())?;
        settings.refuse("features", "a plugin sees all five features, each with its name")?;
        settings
            .refuse("quantiles", "a plugin that knows distributions has a function for them")?;
        let config = config::read(uri, &settings)?;
        let info = ModelInfo {
            path: uri.path().to_owned(),
            backend: NAME,
            inputs: Feature::ALL.to_vec(),
            units: Units::NATIVE,
            trained: Vec::new(),
            deterministic: !plugin.is_random(),
            knows_distributions: plugin.knows_distributions(),
            settings: settings.into_map(),
        };
        let model = Arc::new(Model { plugin, config, path: uri.path().to_owned() });
        let first = Instance::create(Arc::clone(&model))?;
        Ok(Self { info, model, first: Mutex::new(Some(Arc::new(first))) })
    }
}

impl Predictor for PluginPredictor {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let made = if self.model.plugin.is_re_entrant() { first.clone() } else { first.take() };
        drop(first);
        let instance = match made {
            Some(instance) => instance,
            None => Instance::create(Arc::clone(&self.model))
                .map(Arc::new)
                .map_err(|error| error.at(self.info.path.display()))?,
        };
        Ok(Box::new(PluginSession {
            instance,
            error: ErrorBuffer::new(),
            features: Vec::new(),
            predictions: Vec::new(),
        }))
    }
}

/// One thread's session of a plugin.
struct PluginSession {
    /// No other session has it, unless the plugin is re-entrant.
    instance: Arc<Instance>,
    error: ErrorBuffer,
    /// What a batch is copied into; kept, so that a batch allocates once.
    features: Vec<abi::Features>,
    predictions: Vec<abi::Prediction>,
}

impl PluginSession {
    /// Names the model in an error.
    fn named<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.at(self.instance.model().path.display()))
    }
}

impl Session for PluginSession {
    fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
        // SAFETY: the session is borrowed for itself, and no other has this instance unless the
        // plugin is re-entrant.
        let answer = unsafe { self.instance.predict(&to_abi(features), &mut self.error) };
        self.named(answer)
    }

    fn draw(&mut self, features: &Features, uniforms: &Uniforms) -> Result<RawPrediction> {
        let Uniforms { run_time, cpu, ram } = *uniforms;
        let uniforms = abi::Uniforms { run_time, cpu, ram };
        // SAFETY: as in `predict`.
        let drawn = unsafe { self.instance.draw(&to_abi(features), &uniforms, &mut self.error) };
        match drawn {
            Some(drawn) => self.named(drawn),
            None => self.predict(features),
        }
    }

    fn predict_batch(&mut self, features: &[Features], out: &mut [RawPrediction]) -> Result<()> {
        debug_assert_eq!(features.len(), out.len());
        self.features.clear();
        self.features.extend(features.iter().map(to_abi));
        // SAFETY: as in `predict`.
        let answered = unsafe {
            self.instance.predict_batch(&self.features, &mut self.predictions, out, &mut self.error)
        };
        if let Some(answered) = answered {
            return self.named(answered);
        }
        for (features, out) in features.iter().zip(out) {
            *out = self.predict(features)?;
        }
        Ok(())
    }
}

fn to_abi(features: &Features) -> abi::Features {
    abi::Features {
        request_bytes: features.request_bytes,
        function_instances: features.function_instances,
        active_calls: features.active_calls,
        worker_cpu_cores: features.worker_cpu_cores,
        worker_ram_bytes: features.worker_ram_bytes,
    }
}
