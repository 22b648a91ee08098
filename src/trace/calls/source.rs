use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use flate2::bufread::MultiGzDecoder;
use hyperfake_predictor::{Error, Result};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// The longest first line, in bytes.
const LONGEST_LINE: u64 = 1 << 20;
/// How much is read at once, in bytes.
const BUFFER: usize = 64 << 10;
/// How a file begins that was compressed with gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// A byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A file, and the hash of what was read of it.
pub(super) struct Source {
    path: PathBuf,
    hash: Arc<Mutex<Sha256>>,
}

/// What is read, uncompressed.
pub(super) type Input = Box<dyn Read + Send>;

impl Source {
    /// The file, all its content, and its first line.
    pub(super) fn open(path: &Path) -> Result<(Self, Input, Vec<u8>)> {
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::not_found("there is no such file"),
            _ => unreadable(error),
        })?;
        let hash = Arc::new(Mutex::new(Sha256::new()));
        let hashed = Hashed { file, hash: Arc::clone(&hash) };
        let mut raw = BufReader::with_capacity(BUFFER, hashed);
        let is_gzip = raw.fill_buf().map_err(unreadable)?.starts_with(&GZIP);
        let plain: Input = if is_gzip { Box::new(MultiGzDecoder::new(raw)) } else { Box::new(raw) };
        let mut plain = BufReader::with_capacity(BUFFER, plain);
        let mut first = Vec::new();
        let read = plain.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut first);
        read.map_err(unreadable)?;
        if first.starts_with(MARK) {
            first.drain(..MARK.len());
        }
        let input = Cursor::new(first.clone()).chain(plain);
        Ok((Self { path: path.to_owned(), hash }, Box::new(input), first))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn sha256(&self) -> String {
        let hash = self.hash.lock().clone().finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

fn unreadable(error: io::Error) -> Error {
    Error::unavailable("cannot read the file").with_source(error)
}

/// Hashes what is read.
struct Hashed {
    file: File,
    hash: Arc<Mutex<Sha256>>,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hash.lock().update(&buffer[..read]);
        Ok(read)
    }
}
