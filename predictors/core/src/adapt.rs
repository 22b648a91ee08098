use std::sync::Arc;

use crate::{
    Features, ModelInfo, Predictor, RawPrediction, Result, Session, Settings, Uniforms, Units,
};

/// Does for every backend alike what a model does not do by itself: converts its outputs from the
/// units of its file, and takes note of a trained range that the settings state. This is the one
/// place that converts units: the backends leave numbers as they are in the file.
///
/// # Errors
///
/// `Invalid` for units or a range that make no sense.
pub fn adapt(inner: Arc<dyn Predictor>) -> Result<Arc<dyn Predictor>> {
    let settings = Settings::from_map(inner.info().settings.clone());
    let units = settings.units(inner.info().units)?;
    let trained = settings.trained(inner.info().inputs.len())?;
    if units == Units::NATIVE && trained.is_none() && inner.info().units == Units::NATIVE {
        return Ok(inner);
    }
    let mut info = inner.info().clone();
    info.units = units;
    info.trained = trained.unwrap_or(info.trained);
    Ok(Arc::new(Adapted { inner, info, units }))
}

#[derive(Debug)]
struct Adapted {
    inner: Arc<dyn Predictor>,
    info: ModelInfo,
    units: Units,
}

impl Predictor for Adapted {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn agrees_with(&self) -> Option<&'static str> {
        self.inner.agrees_with()
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(AdaptedSession { inner: self.inner.session()?, units: self.units }))
    }
}

struct AdaptedSession {
    inner: Box<dyn Session>,
    units: Units,
}

impl AdaptedSession {
    fn convert(&self, raw: RawPrediction) -> RawPrediction {
        RawPrediction {
            runtime_ns: raw.runtime_ns * self.units.runtime.factor,
            cpu_cores: raw.cpu_cores * self.units.cpu.factor,
            ram_bytes: raw.ram_bytes * self.units.ram.factor,
        }
    }
}

impl Session for AdaptedSession {
    fn predict(&mut self, features: &Features) -> Result<RawPrediction> {
        self.inner.predict(features).map(|raw| self.convert(raw))
    }

    fn predict_batch(&mut self, features: &[Features], out: &mut [RawPrediction]) -> Result<()> {
        self.inner.predict_batch(features, out)?;
        for raw in out {
            *raw = self.convert(*raw);
        }
        Ok(())
    }

    fn draw(&mut self, features: &Features, uniforms: &Uniforms) -> Result<RawPrediction> {
        self.inner.draw(features, uniforms).map(|raw| self.convert(raw))
    }

    fn quantiles(
        &mut self,
        features: &Features,
        levels: &[f64],
        out: &mut [RawPrediction],
    ) -> Result<()> {
        self.inner.quantiles(features, levels, out)?;
        for raw in out {
            *raw = self.convert(*raw);
        }
        Ok(())
    }
}
