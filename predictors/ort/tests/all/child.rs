//! Runs this test program again, as a process that may hang or crash without harm: with another
//! environment, from another folder, with a time limit.

use std::{
    env, fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use hyperfake_predictor::{Backend, Backends, Features, ModelUri};
use hyperfake_predictor_ort::{OrtBackend, find};
use hyperfake_predictor_tract::TractBackend;
use tempfile::TempDir;

/// More than enough to load a library and a small model on a busy machine.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// The prefix of the lines of a child that are for its parent.
const MARK: &str = "child: ";

/// A process to be: its executable is alone in the folder `bin` of a folder of its own.
pub(crate) struct Child {
    folder: TempDir,
    command: Command,
}

impl Child {
    /// One that does a task of [`run`].
    pub(crate) fn new(task: &str) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let executable = folder.path().join("bin/test");
        fs::create_dir(folder.path().join("bin")).unwrap();
        let this = env::current_exe().unwrap();
        fs::hard_link(&this, &executable)
            .or_else(|_| fs::copy(&this, &executable).map(drop))
            .unwrap();
        let mut command = Command::new(executable);
        command
            .env_clear()
            .env("ORT_DISABLE_TELEMETRY", "1")
            .env("TASK", task)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self { folder, command }
    }

    /// The folder that holds `bin`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn with(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.command.env(name, value.as_ref());
        self
    }

    /// What it said. It must end by itself, in time and without a panic.
    pub(crate) fn run(mut self) -> Vec<String> {
        let mut child = self.command.spawn().unwrap();
        let pause = Duration::from_millis(20);
        let mut left = TIME_LIMIT;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            left = left.checked_sub(pause).unwrap_or_else(|| {
                child.kill().unwrap();
                panic!("it hangs");
            });
            thread::sleep(pause);
        };
        let (mut out, mut errors) = (String::new(), String::new());
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert!(status.success(), "{status}\n{out}\n{errors}");
        assert!(!errors.contains("panicked"), "{errors}");
        out.lines().filter_map(|line| line.split_once(MARK)).map(|(_, said)| said.into()).collect()
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from)
}

/// What a child does:
///
/// - `find` says what [`find`] found in `OPTION` and elsewhere.
/// - `open` opens the URI `MODEL` in two threads at once, as the worker would, and says what each
///   got.
/// - `convert` rewrites the ONNX file `MODEL` in ONNX Runtime's own format, as `TO`.
pub(crate) fn run(task: &str) {
    let option = variable("OPTION");
    match task {
        "find" => {
            let search = find(option.as_deref());
            println!("{MARK}{:?}", search.found.as_ref().map(|found| found.place));
            println!("{MARK}{:?}", search.found.map(|found| found.path));
            for tried in search.tried {
                println!("{MARK}{tried}");
            }
        }
        "open" => {
            let uri: ModelUri = variable("MODEL").unwrap().to_str().unwrap().parse().unwrap();
            let backends: [Arc<dyn Backend>; 2] =
                [Arc::new(TractBackend), Arc::new(OrtBackend::new(option))];
            let backends = Backends::new(backends);
            let open = || match backends.open(&uri) {
                Ok(mut loaded) => {
                    let model = loaded.models.remove(0).predictor;
                    let answer = model.session().unwrap().predict(&Features::IDLE).unwrap();
                    format!("{} {}", model.info().backend, answer.runtime_ns)
                }
                Err(error) => error.to_string(),
            };
            let said = thread::scope(|scope| {
                [scope.spawn(open), scope.spawn(open)].map(|thread| thread.join().unwrap())
            });
            said.iter().for_each(|said| println!("{MARK}{said}"));
        }
        "convert" => {
            let environment = ort::init_from(find(None).found.unwrap().path).unwrap();
            let environment = environment.with_telemetry(false).build().unwrap();
            ort::session::Session::builder(&environment)
                .and_then(|builder| Ok(builder.with_optimized_model_path(variable("TO").unwrap())?))
                .and_then(|builder| {
                    Ok(builder.with_config_entry("session.save_model_format", "ORT")?)
                })
                .and_then(|mut builder| builder.commit_from_file(variable("MODEL").unwrap()))
                .unwrap();
        }
        other => panic!("no task is called '{other}'"),
    }
}
