//! The instances that live, kept in a file: a worker that starts again tells leaves that those of its
//! former life are gone.
//!
//! Every start and every end of an instance that only a leaf ends is a line, written at once, so that
//! the file is right whenever the process is killed.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use hyperfake_predictor::{Error, Result};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Moment,
    worker::{EventKind, Instance, InstanceId, Lifetime, Observer},
};

/// The file.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// Taken for each start and each end of an instance.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    /// The lines that it has.
    lines: usize,
    live: HashMap<Key, Arc<str>>,
}

/// A worker of a fleet, and its instance.
type Key = (usize, InstanceId);

/// An instance of a former life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    /// The number of its worker.
    pub worker: usize,
    /// Its id.
    pub instance: InstanceId,
    /// Its function.
    pub function: Arc<str>,
}

/// One line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    worker: usize,
    instance: String,
    /// Nothing when the instance ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    function: Option<String>,
}

/// A file with more lines than this, most of them of instances that ended, is written anew.
const MANY_LINES: usize = 10_000;

impl StateFile {
    /// Opens or makes the file, and returns which instances lived when it was last used.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written, is no such file, or is used by another worker.
    pub fn open(path: &Path) -> Result<(Arc<Self>, Vec<Former>)> {
        let failed = |error: io::Error| {
            let message = format!("cannot use the file '{}'", path.display());
            Error::unavailable(message).with_source(error).at("--state-file")
        };
        let old =
            File::options().read(true).append(true).create(true).open(path).map_err(failed)?;
        if old.try_lock().is_err() {
            let message = format!("the file '{}' is used by another worker", path.display());
            return Err(Error::unavailable(message).at("--state-file"));
        }
        // It is replaced by a new one from time to time, which must not befall a device; a link stays one.
        if !old.metadata().map_err(failed)?.is_file() {
            let message = format!("found '{}', expected a file", path.display());
            return Err(Error::invalid(message).at("--state-file"));
        }
        let path = &fs::canonicalize(path).map_err(failed)?;
        let live = read(&old, path)?;
        let former = live.iter().map(|((worker, instance), function)| {
            let (worker, instance, function) = (*worker, *instance, Arc::clone(function));
            Former { worker, instance, function }
        });
        let former = former.collect();
        let file = rewrite(path, &live).map_err(failed)?;
        let state = Mutex::new(State { file, lines: live.len(), live });
        Ok((Arc::new(Self { path: path.to_owned(), state }), former))
    }

    /// What keeps the file for the worker of this number.
    pub fn of_worker(self: &Arc<Self>, worker: usize) -> Arc<dyn Observer> {
        Arc::new(OfWorker { file: Arc::clone(self), worker })
    }

    /// Every leaf that is to know of these instances knows of their end.
    pub fn forget(&self, former: &[Former]) {
        for Former { worker, instance, .. } in former {
            self.change((*worker, *instance), None);
        }
    }

    fn change(&self, (worker, instance): Key, function: Option<&Arc<str>>) {
        let mut state = self.state.lock();
        let State { file, lines, live } = &mut *state;
        let changed = match function {
            Some(function) => live.insert((worker, instance), Arc::clone(function)).is_none(),
            None => live.remove(&(worker, instance)).is_some(),
        };
        if !changed {
            return;
        }
        *lines += 1;
        let line =
            Line { worker, instance: instance.text(), function: function.map(ToString::to_string) };
        let mut written = file.write_all(&line.bytes());
        if *lines > MANY_LINES && *lines / 4 > live.len() {
            written = written.and_then(|()| {
                *file = rewrite(&self.path, live)?;
                *lines = live.len();
                Ok(())
            });
        }
        if let Err(error) = written {
            tracing::warn!(%error, path = %self.path.display(), "the state of instances is not kept");
        }
    }
}

impl Line {
    fn bytes(&self) -> Vec<u8> {
        // Strings and numbers are always JSON.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// The instances that live at the end of the file.
fn read(file: &File, path: &Path) -> Result<HashMap<Key, Arc<str>>> {
    let mut live = HashMap::new();
    let mut lines = BufReader::new(file).split(b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let line = line.map_err(|error| error.to_string());
        let read = line.and_then(|line| {
            let line: Line = serde_json::from_slice(&line).map_err(|error| error.to_string())?;
            let instance = line.instance.parse().map_err(|_| "found no id of an instance")?;
            Ok(((line.worker, instance), line.function))
        });
        match read {
            Ok((key, Some(function))) => _ = live.insert(key, function.into()),
            Ok((key, None)) => _ = live.remove(&key),
            // Cut when the machine lost its power.
            Err(_) if index > 0 && lines.peek().is_none() => {}
            Err(error) => {
                let (path, number) = (path.display(), index + 1);
                let message = format!("'{path}' is no file of instances: line {number}: {error}");
                return Err(Error::invalid(message).at("--state-file"));
            }
        }
    }
    Ok(live)
}

/// Writes the file anew, which is complete or as it was at every moment.
fn rewrite(path: &Path, live: &HashMap<Key, Arc<str>>) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut bytes = Vec::new();
    for ((worker, instance), function) in live {
        let function = Some(function.to_string());
        bytes.extend(Line { worker: *worker, instance: instance.text(), function }.bytes());
    }
    fs::write(&new, bytes)?;
    let file = File::options().append(true).open(&new)?;
    file.lock()?;
    fs::rename(&new, path)?;
    Ok(file)
}

/// Keeps the file for one worker.
#[derive(Debug)]
struct OfWorker {
    file: Arc<StateFile>,
    worker: usize,
}

impl Observer for OfWorker {
    fn watches(&self, kind: EventKind) -> bool {
        !matches!(kind, EventKind::Running | EventKind::Call | EventKind::Response)
    }

    fn instance_changed(&self, kind: EventKind, instance: &Instance, _at: Moment) {
        if instance.lifetime != Lifetime::UntilStopped {
            return;
        }
        let key = (self.worker, instance.id);
        match kind {
            EventKind::Start => self.file.change(key, Some(&instance.function().id)),
            EventKind::Stop | EventKind::Timeout | EventKind::Down | EventKind::Killed => {
                self.file.change(key, None);
            }
            EventKind::Running | EventKind::Call | EventKind::Response => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn former(path: &Path) -> Vec<Former> {
        let mut former = StateFile::open(path).unwrap().1;
        former.sort_by_key(|former| former.instance);
        former
    }

    fn id(number: u64) -> InstanceId {
        InstanceId::from_bits(number << 16)
    }

    #[test]
    fn instances_that_did_not_end_are_found_again_until_they_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let (file, none) = StateFile::open(&path).unwrap();
        assert_eq!(none, []);
        let function: Arc<str> = "a \"function\"\n".into();
        for number in 0..3 {
            file.change((number as usize, id(number)), Some(&function));
        }
        file.change((1, id(1)), None);
        let error = StateFile::open(&path).unwrap_err().to_string();
        assert!(error.contains("--state-file") && error.contains("another worker"), "{error}");
        drop(file);
        let expected = |number: u64| {
            let (worker, instance) = (number as usize, id(number));
            Former { worker, instance, function: Arc::clone(&function) }
        };
        assert_eq!(former(&path), [expected(0), expected(2)]);
        // Nobody was told in that short life.
        let (file, again) = StateFile::open(&path).unwrap();
        assert_eq!(again.len(), 2);
        file.forget(&again);
        drop(file);
        assert_eq!(former(&path), []);
    }

    #[test]
    fn a_cut_last_line_is_left_out_and_another_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let line = r#"{"worker":0,"instance":"0123456789ab","function":"f"}"#;
        fs::write(&path, format!("{line}\n{}", &line[..20])).unwrap();
        assert_eq!(former(&path).len(), 1);
        for text in ["a text\n", "{}\nmore\n", r#"{"worker":0,"instance":"x"}"#] {
            fs::write(&path, text).unwrap();
            let error = StateFile::open(&path).unwrap_err().to_string();
            assert!(error.contains("is no file of instances: line 1"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "it was overwritten");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_one_and_what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        drop(StateFile::open(&link).unwrap());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::metadata(&file).unwrap().is_file());
        let error = StateFile::open(Path::new("/dev/null")).unwrap_err().to_string();
        assert_eq!(error, "--state-file: found '/dev/null', expected a file");
    }

    #[test]
    fn a_file_with_many_ends_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let (file, _) = StateFile::open(&path).unwrap();
        let function: Arc<str> = "f".into();
        file.change((0, id(1_000_000)), Some(&function));
        for number in 0..=MANY_LINES as u64 {
            file.change((0, id(number)), Some(&function));
            file.change((0, id(number)), None);
        }
        assert!(fs::read_to_string(&path).unwrap().lines().count() < MANY_LINES + 10);
        drop(file);
        assert_eq!(former(&path).len(), 1);
    }
}
