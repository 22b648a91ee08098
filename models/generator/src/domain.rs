use hyperfake_predictor::{Features, Random};

use crate::law::GIB;

/// A box of features, the edges included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Domain {
    /// The smallest value of each feature.
    pub lowest: Features,
    /// The largest value of each feature.
    pub highest: Features,
}

impl Domain {
    /// Where the models promise to be close to their laws.
    pub const STATED: Self = Self {
        lowest: Features::IDLE,
        highest: Features {
            request_bytes: 1e6,
            function_instances: 100.0,
            active_calls: 500.0,
            worker_cpu_cores: 512.0,
            worker_ram_bytes: 128.0 * GIB,
        },
    };

    /// Where the models still promise to make sense.
    pub const STRETCHED: Self = Self {
        lowest: Features::IDLE,
        highest: Features {
            request_bytes: 10e6,
            function_instances: 500.0,
            active_calls: 2_000.0,
            worker_cpu_cores: 1_024.0,
            worker_ram_bytes: 256.0 * GIB,
        },
    };

    /// A random point: each feature on its own, half of the time evenly spread, half of the time
    /// drawn towards the lowest value. Instances and calls are whole numbers.
    pub fn draw(&self, random: &mut Random) -> Features {
        self.at(std::array::from_fn(|_| {
            let share = random.fraction();
            if random.fraction() < 0.5 { share } else { share * share * share }
        }))
    }

    /// The point that lies between the lowest (0) and the highest (1) value of each feature, but
    /// for instances and calls, which are whole numbers.
    #[must_use]
    pub fn at(&self, shares: [f64; 5]) -> Features {
        let lowest = self.lowest.to_array();
        let highest = self.highest.to_array();
        let mut features = Features::from_array(std::array::from_fn(|index| {
            lowest[index] + shares[index] * (highest[index] - lowest[index])
        }));
        features.function_instances = features.function_instances.round();
        features.active_calls = features.active_calls.round();
        features
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_point_is_inside() {
        let mut random = Random::new(1, 0);
        for _ in 0..1_000 {
            let features = Domain::STATED.draw(&mut random).to_array();
            let lowest = Domain::STATED.lowest.to_array();
            let highest = Domain::STATED.highest.to_array();
            for index in 0..5 {
                assert!((lowest[index]..=highest[index]).contains(&features[index]));
            }
        }
    }
}
