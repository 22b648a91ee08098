use hyperfake_predictor::{Features, RawPrediction};

/// How the run time, CPU and memory of a sample function depend on the five features.
///
/// ```text
/// waiting  = max(0, active_calls - calls_per_instance * function_instances)
/// busy     = max(0, worker_cpu_cores - CALM_CORES)
/// slowdown = 1 + slowdown_per_call    * active_calls
///              + slowdown_per_waiting * waiting
///              + slowdown_per_core    * busy
///              + slowdown_per_gib     * worker_ram_bytes / GIB
///
/// runtime_ns = (runtime_ns + ns_per_request_byte * request_bytes) * slowdown
/// cpu_cores  = cpu_cores + crowded_cpu_cores * min(waiting, CROWD) / CROWD
/// ram_bytes  = ram_bytes + ram_per_request_byte * request_bytes + ram_per_waiting * waiting
/// ```
///
/// No answer falls when the body, the load of the function or the load of the worker rises, and
/// none rises with the number of instances. The terms are straight lines with a kink, so that
/// they keep their meaning at a load far above the usual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Law {
    /// The image that it describes, without a tag.
    pub image: &'static str,
    /// What the function does, in a few words.
    pub description: &'static str,
    /// What the worker sends back, if it is not an empty body.
    pub response: Option<&'static str>,
    /// The size of a usual request's body, in bytes.
    pub usual_request_bytes: f64,
    /// Run time of an empty request on an idle worker, in nanoseconds.
    pub runtime_ns: f64,
    /// What each byte of the body adds to that, in nanoseconds.
    pub ns_per_request_byte: f64,
    /// The calls that one instance runs side by side before the next one waits.
    pub calls_per_instance: f64,
    /// Slow-down for each active call of the function, as a fraction of the idle run time.
    pub slowdown_per_call: f64,
    /// Slow-down for each active call that the instances have no room for.
    pub slowdown_per_waiting: f64,
    /// Slow-down for each core that the worker has in use above [`CALM_CORES`].
    pub slowdown_per_core: f64,
    /// Slow-down for each [`GIB`] of memory that the worker has in use.
    pub slowdown_per_gib: f64,
    /// CPU of a call when none is waiting, in cores.
    pub cpu_cores: f64,
    /// CPU that switching between calls adds when [`CROWD`] or more are waiting, in cores.
    pub crowded_cpu_cores: f64,
    /// Memory of an empty request on an idle worker, in bytes.
    pub ram_bytes: f64,
    /// Memory that each byte of the body needs, in bytes.
    pub ram_per_request_byte: f64,
    /// Memory that each waiting call adds, in bytes.
    pub ram_per_waiting: f64,
}

/// Cores that a worker can have in use before its calls slow each other down.
pub const CALM_CORES: f64 = 16.0;

/// The waiting calls at which switching between them costs the most CPU.
pub const CROWD: f64 = 200.0;

/// 2^30 bytes.
pub const GIB: f64 = (1u64 << 30) as f64;

/// Returns the body that it was sent: about 7 ms and 8 MB.
pub const ECHO: Law = Law {
    image: "hyperfaas-echo",
    description: "returns the body that it was sent",
    response: Some("echo"),
    usual_request_bytes: 640.0,
    runtime_ns: 7e6,
    ns_per_request_byte: 5.0,
    calls_per_instance: 4.0,
    slowdown_per_call: 0.001,
    slowdown_per_waiting: 0.012,
    slowdown_per_core: 0.01,
    slowdown_per_gib: 0.004,
    cpu_cores: 0.6,
    crowded_cpu_cores: 0.2,
    ram_bytes: 8e6,
    ram_per_request_byte: 2.0,
    ram_per_waiting: 4e3,
};

/// Makes a small picture of the one in the body: about 340 ms and 90 MB for 160 KB of JSON.
pub const THUMBNAILER: Law = Law {
    image: "hyperfaas-thumbnailer-json",
    description: "makes a small picture of the one in the body",
    response: None,
    usual_request_bytes: 160e3,
    runtime_ns: 220e6,
    ns_per_request_byte: 750.0,
    calls_per_instance: 2.0,
    slowdown_per_call: 0.002,
    slowdown_per_waiting: 0.015,
    slowdown_per_core: 0.01,
    slowdown_per_gib: 0.004,
    cpu_cores: 0.9,
    crowded_cpu_cores: 0.25,
    ram_bytes: 82e6,
    ram_per_request_byte: 50.0,
    ram_per_waiting: 40e3,
};

/// Makes a graph and walks through it: about 2.8 s and 135 MB; the body only says how large the
/// graph is.
pub const BFS: Law = Law {
    image: "hyperfaas-bfs-json",
    description: "makes a graph and walks through it, breadth first",
    response: None,
    usual_request_bytes: 12.0,
    runtime_ns: 2.8e9,
    ns_per_request_byte: 20.0,
    calls_per_instance: 1.0,
    slowdown_per_call: 0.002,
    slowdown_per_waiting: 0.02,
    slowdown_per_core: 0.01,
    slowdown_per_gib: 0.004,
    cpu_cores: 0.95,
    crowded_cpu_cores: 0.25,
    ram_bytes: 135e6,
    ram_per_request_byte: 1.0,
    ram_per_waiting: 30e3,
};

impl Law {
    /// All laws, in the order of their run times.
    pub const ALL: [Self; 3] = [ECHO, THUMBNAILER, BFS];

    /// What the law says.
    #[must_use]
    pub fn predict(&self, features: &Features) -> RawPrediction {
        let room = self.calls_per_instance * features.function_instances;
        let waiting = (features.active_calls - room).max(0.0);
        let busy = (features.worker_cpu_cores - CALM_CORES).max(0.0);
        let slowdown = 1.0
            + self.slowdown_per_call * features.active_calls
            + self.slowdown_per_waiting * waiting
            + self.slowdown_per_core * busy
            + self.slowdown_per_gib * features.worker_ram_bytes / GIB;
        let alone_ns = self.runtime_ns + self.ns_per_request_byte * features.request_bytes;
        RawPrediction {
            runtime_ns: alone_ns * slowdown,
            cpu_cores: self.cpu_cores + self.crowded_cpu_cores * waiting.min(CROWD) / CROWD,
            ram_bytes: self.ram_bytes
                + self.ram_per_request_byte * features.request_bytes
                + self.ram_per_waiting * waiting,
        }
    }

    /// A usual request to a worker with one instance and nothing to do.
    #[must_use]
    pub fn idle(&self) -> Features {
        Features { request_bytes: self.usual_request_bytes, ..Features::IDLE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_answers_are_those_of_the_images() {
        let idle = |law: Law| law.predict(&law.idle());
        let echo = idle(ECHO);
        assert!(
            (6.9e6..7.1e6).contains(&echo.runtime_ns) && (7.9e6..8.1e6).contains(&echo.ram_bytes)
        );
        let thumbnailer = idle(THUMBNAILER);
        assert_eq!((thumbnailer.runtime_ns, thumbnailer.ram_bytes), (340e6, 90e6));
        let bfs = idle(BFS);
        assert!((2e9..4e9).contains(&bfs.runtime_ns) && (130e6..140e6).contains(&bfs.ram_bytes));
    }

    #[test]
    fn five_hundred_calls_of_one_instance_are_slower_by_a_factor_of_a_few_to_twenty() {
        for law in Law::ALL {
            let idle = law.predict(&law.idle());
            let crowded = law.predict(&Features { active_calls: 500.0, ..law.idle() });
            let factor = crowded.runtime_ns / idle.runtime_ns;
            assert!((3.0..20.0).contains(&factor), "{}: {factor}", law.image);
        }
    }

    #[test]
    fn calls_that_the_instances_have_room_for_hardly_slow_each_other_down() {
        for law in Law::ALL {
            let with_room = Features { function_instances: 10.0, active_calls: 10.0, ..law.idle() };
            let factor = law.predict(&with_room).runtime_ns / law.predict(&law.idle()).runtime_ns;
            assert!((1.0..1.05).contains(&factor), "{}: {factor}", law.image);
        }
    }
}
