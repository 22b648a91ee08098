use std::{fmt::Write, panic, thread};

use sha2::{Digest, Sha256};

use crate::{Law, Network, Recipe, fit, onnx, table};

/// A law and the network that was fitted to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The law.
    pub law: Law,
    /// The network.
    pub network: Network,
}

impl Sample {
    /// The samples that are shipped. This takes some seconds.
    #[must_use]
    pub fn all() -> Vec<Self> {
        thread::scope(|scope| {
            Law::ALL
                .map(|law| scope.spawn(move || Self { law, network: fit(&law, &Recipe::of(&law)) }))
                .map(|thread| thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
                .into()
        })
    }

    /// The files that hold the sample.
    #[must_use]
    pub fn files(&self) -> [ModelFile; 2] {
        let image = self.law.image;
        [
            ModelFile { path: format!("{image}.onnx"), bytes: onnx(&self.law, &self.network) },
            ModelFile {
                path: format!("tables/{image}.json"),
                bytes: table(&self.law).into_bytes(),
            },
        ]
    }
}

/// A file of the folder of models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Its place in the folder, with `/`.
    pub path: String,
    /// All that is in it.
    pub bytes: Vec<u8>,
}

impl ModelFile {
    /// The SHA-256 of its bytes, in hexadecimal.
    #[must_use]
    pub fn checksum(&self) -> String {
        Sha256::digest(&self.bytes).iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
