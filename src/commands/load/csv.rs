use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use hyperfake_predictor::{Error, Result};

use super::Called;
use crate::client::Sent;

/// A file for one line about each call.
pub(super) struct Csv<'a> {
    path: &'a Path,
    file: BufWriter<File>,
}

pub(super) fn create(path: &Path) -> Result<Csv<'_>> {
    let file = File::create(path).map_err(|error| unwritable(path, error))?;
    Ok(Csv { path, file: BufWriter::new(file) })
}

impl Csv<'_> {
    pub(super) fn write(self, calls: &[Sent], functions: &[Called]) -> Result<()> {
        write(calls, functions, self.file).map_err(|error| unwritable(self.path, error))
    }
}

fn unwritable(path: &Path, error: io::Error) -> Error {
    Error::unavailable("cannot write the file")
        .with_source(error)
        .at(format!("--csv {}", path.display()))
}

fn write(calls: &[Sent], functions: &[Called], mut file: impl Write) -> io::Result<()> {
    writeln!(file, "function,intended_ns,sent_ns,ended_ns,predicted_ns,cold_start_ns,status")?;
    for call in calls {
        let Sent { intended_ns, sent_ns, ended_ns, code, timing, .. } = call;
        let name = functions[call.function as usize].name();
        write!(file, "{name},{intended_ns},{sent_ns},{ended_ns},")?;
        match timing {
            Some(timing) => write!(file, "{},{}", timing.predicted_ns, timing.waited_ns)?,
            None => write!(file, ",")?,
        }
        writeln!(file, ",{code:?}")?;
    }
    file.flush()
}
