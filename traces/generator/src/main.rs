//! Makes the samples of this folder, or one trace of any size.

use std::{io, path::PathBuf};

use clap::{Parser, ValueEnum, builder::PossibleValue};
use hyperfake_traces::{Format, SAMPLE, Size, write};

/// Makes synthetic workload traces.
#[derive(Debug, Parser)]
struct Args {
    /// The folder that they are written to; each sample into one of its own, called like its format
    folder: PathBuf,

    /// One format, whose files are written into the folder itself [default: the samples of all]
    #[arg(long)]
    format: Option<Chosen>,

    /// Functions
    #[arg(long, value_name = "N", default_value_t = SAMPLE.functions)]
    functions: usize,

    /// Minutes
    #[arg(long, value_name = "N", default_value_t = SAMPLE.minutes)]
    minutes: usize,

    /// Where all numbers come from
    #[arg(long, value_name = "N", default_value_t = SAMPLE.seed)]
    seed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Chosen(Format);

impl ValueEnum for Chosen {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Chosen; 7] = {
            let [a, b, c, d, e, f, g] = Format::ALL;
            [Chosen(a), Chosen(b), Chosen(c), Chosen(d), Chosen(e), Chosen(f), Chosen(g)]
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

fn main() -> io::Result<()> {
    let Args { folder, format, functions, minutes, seed } = Args::parse();
    let size = Size { functions, minutes, seed };
    match format {
        Some(Chosen(format)) => write(format, size, &folder),
        None => Format::ALL
            .into_iter()
            .try_for_each(|format| write(format, size, &folder.join(format.name()))),
    }
}
