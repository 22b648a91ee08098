//! Synthetic workload traces in the formats of others: their columns and their oddities, with numbers from a
//! stated law. No number of a real trace is in them.
//!
//! Functions differ by orders of magnitude in how often they are called, most run for less than a second, and
//! each function's run times are log-normal between its 0.1 % and its 99.99 % quantile.

mod azure2019;
mod law;
mod single;
mod wide;

use std::{fs, io, path::Path};

pub use self::law::{Function, functions};

/// What a trace has.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Functions.
    pub functions: usize,
    /// Minutes.
    pub minutes: usize,
    /// Where all numbers come from.
    pub seed: u64,
}

/// The size of the samples in the repository.
pub const SAMPLE: Size = Size { functions: 12, minutes: 20, seed: 295 };

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Azure Functions, 2019: three files.
    Azure2019,
    /// Azure Functions, 2021: a row for each call. What InVitro's converter makes of IBM's trace has the same
    /// columns.
    Azure2021,
    /// Huawei, 2023: a folder for each metric.
    Huawei2023,
    /// Huawei, 2025: the table of requests.
    Huawei2025,
    /// A folder of InVitro's: three files.
    InVitro,
    /// Alibaba's cold starts.
    FaasNet,
    /// A record of HyperFake Worker.
    Record,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Azure2019,
        Self::Azure2021,
        Self::Huawei2023,
        Self::Huawei2025,
        Self::InVitro,
        Self::FaasNet,
        Self::Record,
    ];

    /// Its name on the command line, and that of its sample's folder.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Azure2019 => "azure2019",
            Self::Azure2021 => "azure2021",
            Self::Huawei2023 => "huawei2023",
            Self::Huawei2025 => "huawei2025",
            Self::InVitro => "invitro",
            Self::FaasNet => "faasnet",
            Self::Record => "record",
        }
    }
}

/// Writes a trace into a folder, which is made if it does not exist.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write(format: Format, size: Size, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let functions = functions(size);
    match format {
        Format::Azure2019 => azure2019::write(&functions, size, folder),
        Format::InVitro => azure2019::write_invitro(&functions, size, folder),
        Format::Huawei2023 => wide::write(&functions, size, folder),
        Format::Azure2021 => single::azure2021(&functions, size, folder),
        Format::Huawei2025 => single::huawei2025(&functions, size, folder),
        Format::FaasNet => single::faasnet(&functions, size, folder),
        Format::Record => single::record(&functions, size, folder),
    }
}
