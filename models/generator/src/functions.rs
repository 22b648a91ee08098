use crate::ModelFile;

/// A function that HyperFaaS ships: what an instance of it costs, as a linear model. What its methods
/// answer is in `models/functions/answers`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Function {
    /// The image, without a tag.
    pub image: &'static str,
    /// What it does, in a few words.
    pub description: &'static str,
    /// The file in `answers`.
    pub answers: &'static str,
    /// Run time of an empty request, in nanoseconds.
    pub runtime_ns: f64,
    /// What each byte of the request adds to that, in nanoseconds.
    pub ns_per_request_byte: f64,
    /// CPU of a call, in cores.
    pub cpu_cores: f64,
    /// Memory of an empty request, in bytes.
    pub ram_bytes: f64,
    /// Memory that each byte of the request needs, in bytes.
    pub ram_per_request_byte: f64,
}

impl Function {
    /// The seven functions.
    pub const ALL: [Self; 7] = [
        Self::new("hyperfaas-hello", "says hello", "hello").costs(60e3, 0.0, 0.2, 7e6, 0.0),
        Self::new("hyperfaas-grpc-proxy-greeter", "says hello to a name", "greeter")
            .costs(60e3, 1.0, 0.2, 7e6, 1.0),
        Self::new("hyperfaas-echo", "returns the bytes that it was sent", "echo")
            .costs(80e3, 1.0, 0.6, 8e6, 2.0),
        Self::new("hyperfaas-sleep", "sleeps for as long as the request says", "sleep")
            .costs(0.0, 0.0, 0.01, 7e6, 0.0),
        Self::new("hyperfaas-bfs", "makes a graph and walks through it", "bfs")
            .costs(2.8e9, 20.0, 0.95, 135e6, 1.0),
        Self::new(
            "hyperfaas-thumbnailer",
            "makes a small picture of the one in the request",
            "thumbnailer",
        )
        .costs(220e6, 750.0, 0.9, 82e6, 50.0),
        Self::new("hyperfaas-crash", "ends its instance after two seconds", "crash")
            .costs(2e9, 0.0, 0.01, 7e6, 0.0),
    ];

    const fn new(image: &'static str, description: &'static str, answers: &'static str) -> Self {
        Self {
            image,
            description,
            answers,
            runtime_ns: 0.0,
            ns_per_request_byte: 0.0,
            cpu_cores: 0.0,
            ram_bytes: 0.0,
            ram_per_request_byte: 0.0,
        }
    }

    const fn costs(
        mut self,
        runtime_ns: f64,
        ns_per_request_byte: f64,
        cpu_cores: f64,
        ram_bytes: f64,
        ram_per_request_byte: f64,
    ) -> Self {
        self.runtime_ns = runtime_ns;
        self.ns_per_request_byte = ns_per_request_byte;
        self.cpu_cores = cpu_cores;
        self.ram_bytes = ram_bytes;
        self.ram_per_request_byte = ram_per_request_byte;
        self
    }

    /// The files that hold the model.
    #[must_use]
    pub fn files(&self) -> [ModelFile; 2] {
        let Self { image, description, cpu_cores, .. } = self;
        let Self { runtime_ns, ns_per_request_byte, ram_bytes, ram_per_request_byte, .. } = self;
        let model = format!(
            r#"{{
  "kind": "linear",
  "description": "{description}",
  "features": ["request_bytes"],
  "runtime_ns": {{"intercept": {runtime_ns}, "request_bytes": {ns_per_request_byte}}},
  "cpu_cores": {{"intercept": {cpu_cores}}},
  "ram_bytes": {{"intercept": {ram_bytes}, "request_bytes": {ram_per_request_byte}}}
}}
"#
        );
        let settings = format!("answers = answers/{}.json\n", self.answers);
        [
            ModelFile { path: format!("functions/{image}.json"), bytes: model.into_bytes() },
            ModelFile {
                path: format!("functions/{image}.json.settings"),
                bytes: settings.into_bytes(),
            },
        ]
    }
}
