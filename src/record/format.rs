use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use hyperfake_predictor::{Error, Result};

/// The columns of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// All that is known of a call: the columns of [`Row`](super::Row).
    #[default]
    Own,
    /// Those of the Azure Functions trace of 2021.
    Azure2021,
    /// Those of the log of calls of InVitro's load generator.
    InVitro,
    /// Those of the requests in the Huawei trace of 2025.
    Huawei2025,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Own, Self::Azure2021, Self::InVitro, Self::Huawei2025];

    /// The name used on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Azure2021 => "azure2021",
            Self::InVitro => "invitro",
            Self::Huawei2025 => "huawei2025",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("no format of records is called '{name}'; there are {known}")
        })
    }
}

/// How a file says what its columns hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Comma-separated values with a header, as in RFC 4180 but for lines that end in a line feed.
    Csv,
    /// A JSON object a line.
    JsonLines,
    /// Parquet.
    #[cfg(feature = "parquet")]
    Parquet,
}

impl Encoding {
    /// That of a file of this name.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("csv") => Ok(Self::Csv),
            Some("jsonl") => Ok(Self::JsonLines),
            #[cfg(feature = "parquet")]
            Some("parquet") => Ok(Self::Parquet),
            #[cfg(not(feature = "parquet"))]
            Some("parquet") => {
                let message = "this program was built without Parquet: build it with '--features \
                               parquet', or name a file that ends in .csv or .jsonl";
                Err(Error::unsupported(message).at(path.display()))
            }
            _ => {
                let message = "expected a file that ends in .csv, .jsonl or .parquet";
                Err(Error::invalid(message).at(path.display()))
            }
        }
    }
}

/// A file for a record, and what is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub(super) path: PathBuf,
    pub(super) format: Format,
    pub(super) encoding: Encoding,
}

impl Destination {
    /// The file of this name, whose ending says how it is encoded.
    ///
    /// # Errors
    ///
    /// `Invalid` when the ending is not known or does not fit the format, `Unsupported` for Parquet in a
    /// program that was built without it.
    pub fn new(path: impl Into<PathBuf>, format: Format) -> Result<Self> {
        let path = path.into();
        let encoding = Encoding::of(&path)?;
        if format != Format::Own && encoding != Encoding::Csv {
            let message = format!("expected a file that ends in .csv for the format {format}");
            return Err(Error::invalid(message).at(path.display()));
        }
        Ok(Self { path, format, encoding })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_a_file_says_how_it_is_encoded() {
        let encoding = |path| Destination::new(path, Format::Own).map(|found| found.encoding);
        assert_eq!(encoding("a/b.csv").unwrap(), Encoding::Csv);
        assert_eq!(encoding("b.c.JSONL").unwrap(), Encoding::JsonLines);
        for bad in ["b", "csv", "b.txt", ".csv", "b.csv.gz", ""] {
            let error = encoding(bad).unwrap_err().to_string();
            assert!(error.contains("expected a file that ends in .csv, .jsonl"), "{error}");
        }
        let parquet = encoding("b.parquet");
        if cfg!(feature = "parquet") {
            parquet.unwrap();
        } else {
            let error = parquet.unwrap_err().to_string();
            assert!(error.contains("b.parquet: this program was built without Parquet"), "{error}");
        }
    }

    #[test]
    fn the_formats_of_others_are_csv() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
            Destination::new("a.csv", format).unwrap();
            let lines = Destination::new("a.jsonl", format);
            assert_eq!(lines.is_ok(), format == Format::Own, "{format}");
        }
        let error = "azure".parse::<Format>().unwrap_err();
        assert!(error.ends_with("there are own, azure2021, invitro, huawei2025"), "{error}");
    }
}
