/// Values that were measured, each as likely as the others.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    ascending: Box<[f64]>,
    mean: f64,
}

impl Measured {
    /// # Errors
    ///
    /// When there is no value.
    pub(super) fn new(mut values: Vec<f64>) -> Result<Self, String> {
        if values.is_empty() {
            return Err("found no value, expected at least one".to_owned());
        }
        values.sort_by(f64::total_cmp);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Ok(Self { ascending: values.into(), mean })
    }

    pub(super) fn quantile(&self, u: f64) -> f64 {
        let at = (u * self.ascending.len() as f64) as usize;
        self.ascending[at.min(self.ascending.len() - 1)]
    }

    pub(super) fn cdf(&self, value: f64) -> f64 {
        let not_above = self.ascending.partition_point(|measured| *measured <= value);
        not_above as f64 / self.ascending.len() as f64
    }

    pub(super) fn mean(&self) -> f64 {
        self.mean
    }
}
