use std::fmt;

use hyperfake_predictor::{Features, Random, RawPrediction};

use crate::{Domain, Law, ModelFile, Sample};

/// What `models/README.md` says about the models that are shipped, as tables in Markdown: how far
/// the networks are from their laws, what they predict, and what the files are.
#[must_use]
pub fn report(samples: &[Sample], files: &[ModelFile]) -> String {
    [errors(samples), predictions(samples), checksums(files)].join("\n")
}

/// How many calls an error is measured on.
const SAMPLES: usize = 20_000;

/// How far a model is from its law, as a share of the law's answer: of many random calls, half
/// are closer than the median, 99 in 100 closer than `p99`, and all closer than the largest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitError {
    /// Half of the calls are closer.
    pub median: f64,
    /// 99 in 100 calls are closer.
    pub p99: f64,
    /// No call is further off.
    pub largest: f64,
}

impl FitError {
    /// Measures the errors of run time, CPU and memory on calls that no network was fitted to.
    pub fn measure(
        law: &Law,
        mut model: impl FnMut(&Features) -> RawPrediction,
        domain: &Domain,
    ) -> [Self; 3] {
        let mut random = Random::new(0x7E57, 0);
        let mut errors: [Vec<f64>; 3] = Default::default();
        for _ in 0..SAMPLES {
            let features = domain.draw(&mut random);
            let (expected, found) = (law.predict(&features), model(&features));
            for (errors, (expected, found)) in
                errors.iter_mut().zip(expected.to_array().into_iter().zip(found.to_array()))
            {
                errors.push((found - expected).abs() / expected);
            }
        }
        errors.map(|mut errors| {
            errors.sort_by(f64::total_cmp);
            Self {
                median: errors[SAMPLES / 2],
                p99: errors[SAMPLES * 99 / 100],
                largest: errors[SAMPLES - 1],
            }
        })
    }
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, p99, largest] = [self.median, self.p99, self.largest].map(|x| 100.0 * x);
        write!(f, "{median:.2} / {p99:.2} / {largest:.1} %")
    }
}

fn errors(samples: &[Sample]) -> String {
    let mut table =
        "| network | domain | run time | CPU | RAM |\n|---|---|---|---|---|\n".to_owned();
    for Sample { law, network } in samples {
        for (name, domain) in [("stated", Domain::STATED), ("stretched", Domain::STRETCHED)] {
            let [runtime, cpu, ram] =
                FitError::measure(law, |features| network.predict(features), &domain);
            table += &format!("| {} | {name} | {runtime} | {cpu} | {ram} |\n", law.image);
        }
    }
    table
}

fn predictions(samples: &[Sample]) -> String {
    let mut table =
        "| network | instances | active calls | run time | CPU | RAM |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for Sample { law, network } in samples {
        for (function_instances, active_calls) in
            [(1.0, 0.0), (1.0, 10.0), (1.0, 100.0), (1.0, 500.0), (10.0, 100.0), (10.0, 500.0)]
        {
            let features = Features { function_instances, active_calls, ..law.idle() };
            let answer = network.predict(&features);
            table += &format!(
                "| {} | {function_instances} | {active_calls} | {:.2} ms | {:.3} | {:.1} MB |\n",
                law.image,
                answer.runtime_ns / 1e6,
                answer.cpu_cores,
                answer.ram_bytes / 1e6,
            );
        }
    }
    table
}

fn checksums(files: &[ModelFile]) -> String {
    let mut table = "| file | bytes | SHA-256 |\n|---|---|---|\n".to_owned();
    for file in files {
        table += &format!("| {} | {} | {} |\n", file.path, file.bytes.len(), file.checksum());
    }
    table
}
