use std::path::PathBuf;

use hyperfake_predictor::Result;

use crate::{
    args::{EngineArgs, ModelArgs},
    backends, catalog,
};

/// The models, and the backends that open them.
#[derive(Debug, Clone)]
pub struct Models {
    /// The models that were named.
    pub named: Vec<catalog::Source>,
    /// The folder that is searched for more.
    pub folder: Option<PathBuf>,
    /// Whether a model that cannot be opened is left out.
    pub skip_bad: bool,
    /// Whether the folder offers plugins.
    pub allow_plugins: bool,
    /// The backends that open them.
    pub backends: backends::Choice,
}

impl Models {
    /// Maps the options.
    ///
    /// # Errors
    ///
    /// When an image's name is not valid.
    pub fn new(args: ModelArgs) -> Result<Self> {
        let named = args
            .named
            .into_iter()
            .map(|(uri, image)| {
                let image = image.map(|image| image.parse()).transpose()?;
                Ok(catalog::Source { uri, image })
            })
            .collect::<Result<Vec<_>>>()
            .map_err(|error| error.at("--model"))?;
        let folder = match args.models_dir {
            None if named.is_empty() => Some("./models".into()),
            given => given,
        };
        Ok(Self {
            named,
            folder,
            skip_bad: args.skip_bad_models,
            allow_plugins: args.allow_plugins,
            backends: choice(&args.engine),
        })
    }
}

/// The backends that open models.
#[must_use]
pub fn choice(args: &EngineArgs) -> backends::Choice {
    backends::Choice { onnx_engine: args.onnx_engine, ort_library: args.ort_lib.clone() }
}
