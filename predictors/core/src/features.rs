use strum::{Display, EnumString, IntoStaticStr};

use crate::Error;

/// The input of a model: a call, and the state of the worker that it arrives at.
///
/// The call itself is not counted: an idle worker's first call finds no active calls and no
/// CPU or RAM in use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Features {
    /// Size of the request's body, in bytes.
    pub request_bytes: f64,
    /// Live instances of the function, those that are still starting included.
    pub function_instances: f64,
    /// Calls of the function that are running.
    pub active_calls: f64,
    /// CPU that the worker's running calls hold, in cores.
    pub worker_cpu_cores: f64,
    /// Memory that the worker's running calls hold, in bytes.
    pub worker_ram_bytes: f64,
}

impl Features {
    /// The features of an empty request to a worker on which nothing else runs.
    pub const IDLE: Self = Self {
        request_bytes: 0.0,
        function_instances: 1.0,
        active_calls: 0.0,
        worker_cpu_cores: 0.0,
        worker_ram_bytes: 0.0,
    };

    /// The five numbers in the order of [`Feature::ALL`], which is a model's column order.
    #[must_use]
    #[inline]
    pub fn to_array(&self) -> [f64; 5] {
        [
            self.request_bytes,
            self.function_instances,
            self.active_calls,
            self.worker_cpu_cores,
            self.worker_ram_bytes,
        ]
    }

    /// The opposite of [`Features::to_array`].
    #[must_use]
    #[inline]
    pub fn from_array(values: [f64; 5]) -> Self {
        let [request_bytes, function_instances, active_calls, worker_cpu_cores, worker_ram_bytes] =
            values;
        Self { request_bytes, function_instances, active_calls, worker_cpu_cores, worker_ram_bytes }
    }

    /// One of the five numbers.
    #[must_use]
    pub fn value(&self, feature: Feature) -> f64 {
        self.to_array()[feature as usize]
    }
}

impl Default for Features {
    fn default() -> Self {
        Self::IDLE
    }
}

/// The name of one input column.
///
/// It is parsed from [`Feature::name`], or from the column of HyperFaaS's training data:
///
/// | feature | columns of HyperFaaS's training data |
/// |---|---|
/// | `request_bytes` | `request_size_bytes`, `request_body_size` |
/// | `function_instances` | `function_instances_count` |
/// | `active_calls` | `active_function_calls_count` |
/// | `worker_cpu_cores` | `worker_cpu_usage` |
/// | `worker_ram_bytes` | `worker_ram_usage` |
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Display, EnumString, IntoStaticStr,
)]
#[strum(parse_err_ty = Error, parse_err_fn = unknown)]
pub enum Feature {
    /// See [`Features::request_bytes`].
    #[strum(
        to_string = "request_bytes",
        serialize = "request_size_bytes",
        serialize = "request_body_size"
    )]
    RequestBytes,
    /// See [`Features::function_instances`].
    #[strum(to_string = "function_instances", serialize = "function_instances_count")]
    FunctionInstances,
    /// See [`Features::active_calls`].
    #[strum(to_string = "active_calls", serialize = "active_function_calls_count")]
    ActiveCalls,
    /// See [`Features::worker_cpu_cores`].
    #[strum(to_string = "worker_cpu_cores", serialize = "worker_cpu_usage")]
    WorkerCpuCores,
    /// See [`Features::worker_ram_bytes`].
    #[strum(to_string = "worker_ram_bytes", serialize = "worker_ram_usage")]
    WorkerRamBytes,
}

impl Feature {
    /// All features, in the order in which a model with five inputs sees them.
    pub const ALL: [Self; 5] = [
        Self::RequestBytes,
        Self::FunctionInstances,
        Self::ActiveCalls,
        Self::WorkerCpuCores,
        Self::WorkerRamBytes,
    ];

    /// The name used in files, flags and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The feature of this name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

fn unknown(name: &str) -> Error {
    let known = Feature::ALL.map(Feature::name).join(", ");
    Error::invalid(format!("no feature is called '{name}'; there are {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_array_keeps_the_order_of_the_names() {
        let features = Features::from_array([1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(features.to_array(), [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(features.value(Feature::ActiveCalls), features.active_calls);
        for feature in Feature::ALL {
            assert_eq!(feature.name().parse::<Feature>().unwrap(), feature);
        }
    }

    #[test]
    fn the_columns_of_hyperfaas_training_data_are_known() {
        let columns = "request_size_bytes,function_instances_count,active_function_calls_count,\
                       worker_cpu_usage,worker_ram_usage";
        let features: Vec<Feature> = columns.split(',').map(|name| name.parse().unwrap()).collect();
        assert_eq!(features, Feature::ALL);
        assert_eq!("request_body_size".parse::<Feature>().unwrap(), Feature::RequestBytes);
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "cpu".parse::<Feature>().unwrap_err().to_string();
        assert!(error.contains("'cpu'") && error.contains("worker_cpu_cores"), "{error}");
    }
}
