use std::fmt;

use crate::{Error, Result};

/// The units of a model's three outputs, as stated in its file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Units {
    /// Of the run time.
    pub runtime: Unit,
    /// Of the CPU.
    pub cpu: Unit,
    /// Of the memory.
    pub ram: Unit,
}

/// A unit and what it is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// The name used in files and flags.
    pub name: &'static str,
    /// How many nanoseconds, cores or bytes it is.
    pub factor: f64,
}

const RUNTIME: [Unit; 4] = [unit("ns", 1.0), unit("us", 1e3), unit("ms", 1e6), unit("s", 1e9)];
const CPU: [Unit; 3] = [unit("cores", 1.0), unit("millicores", 1e-3), unit("percent", 1e-2)];
const RAM: [Unit; 7] = [
    unit("bytes", 1.0),
    unit("kB", 1e3),
    unit("KiB", 1024.0),
    unit("MB", 1e6),
    unit("MiB", 1_048_576.0),
    unit("GB", 1e9),
    unit("GiB", 1_073_741_824.0),
];

impl Units {
    /// Those of [`RawPrediction`](crate::RawPrediction): nothing to convert.
    pub const NATIVE: Self = Self { runtime: RUNTIME[0], cpu: CPU[0], ram: RAM[0] };

    /// Nothing to convert but the run time, which is in milliseconds.
    pub const MILLISECONDS: Self = Self { runtime: RUNTIME[2], ..Self::NATIVE };

    /// With the units of these names; what has none stays as it is.
    ///
    /// # Errors
    ///
    /// For an unknown name; the error lists the known ones.
    pub fn with(self, runtime: Option<&str>, cpu: Option<&str>, ram: Option<&str>) -> Result<Self> {
        Ok(Self {
            runtime: find("runtime_unit", runtime, &RUNTIME, self.runtime)?,
            cpu: find("cpu_unit", cpu, &CPU, self.cpu)?,
            ram: find("ram_unit", ram, &RAM, self.ram)?,
        })
    }
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.runtime.name, self.cpu.name, self.ram.name)
    }
}

const fn unit(name: &'static str, factor: f64) -> Unit {
    Unit { name, factor }
}

fn find(setting: &str, name: Option<&str>, known: &[Unit], by_default: Unit) -> Result<Unit> {
    let Some(name) = name else { return Ok(by_default) };
    known.iter().copied().find(|unit| unit.name == name).ok_or_else(|| {
        let known: Vec<_> = known.iter().map(|unit| unit.name).collect();
        let message = format!("found '{name}', expected one of {}", known.join(", "));
        Error::invalid(message).at(setting)
    })
}
