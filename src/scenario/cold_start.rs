use std::{fmt, str::FromStr, time::Duration};

/// The container runtime whose cold start is imitated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContainerRuntime {
    /// A Docker container.
    #[default]
    Docker,
    /// A Firecracker microVM.
    Firecracker,
    /// No cold start.
    Instant,
}

impl ContainerRuntime {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Docker, Self::Firecracker, Self::Instant];

    /// How long an instance takes from its start until it can run a call, when neither the
    /// worker nor the model says otherwise.
    ///
    /// - Docker: 541 ms to create a container (Docker 18.09, overlay2) on an otherwise idle
    ///   machine, from Cadden et al., "SEUSS: Skip Redundant Paths to Make Serverless Fast",
    ///   EuroSys 2020, table 3.
    /// - Firecracker: 125 ms, the paper's bound for the boot of a microVM up to the application's
    ///   code, from Agache et al., "Firecracker: Lightweight Virtualization for Serverless
    ///   Applications", NSDI 2020, section 1.
    #[must_use]
    pub fn cold_start(self) -> Duration {
        match self {
            Self::Docker => Duration::from_millis(541),
            Self::Firecracker => Duration::from_millis(125),
            Self::Instant => Duration::ZERO,
        }
    }

    /// The name used on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Firecracker => "firecracker",
            Self::Instant => "instant",
        }
    }
}

impl fmt::Display for ContainerRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ContainerRuntime {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|runtime| runtime.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("no runtime is called '{name}'; there are {known}")
        })
    }
}
