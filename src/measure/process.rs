use std::{
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use hyperfake_predictor::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::TcpStream;

use super::{Processes, ReadyBy, cgroup::Cgroup, signal::SignalReady};
use crate::{clock::Clock, report::format};

/// A process that runs a function, with all that it starts and that stays in its group of processes. Dropping
/// it ends them; when this program is killed, a guard does.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    guard: Child,
    address: SocketAddr,
    cgroup: Option<Arc<Cgroup>>,
    /// Where it says that it is ready, if it is to.
    signal: Option<SignalReady>,
    /// The last line that it wrote on its standard error.
    said: Arc<Mutex<String>>,
    /// Reads its standard error, until all processes have ended that can write there.
    listener: Option<thread::JoinHandle<()>>,
    ended: Option<ExitStatus>,
}

/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(1);
/// From the request to end until it is ended.
const PATIENCE: Duration = Duration::from_secs(1);
/// Joins its control group and becomes the command.
const JOIN: &str = r#"echo 0 > "$1" && exec sh -c "$2""#;
/// Waits until its standard input ends, which it does when this program has, and ends the group of
/// processes. A signal at the death of the parent would have to be asked for between fork and exec, which
/// takes unsafe code, and reaches no children of a process.
const GUARD: &str = r#"read -r line; kill -s KILL -- "-$1""#;

impl Process {
    /// Starts a command on a port of its own; `function` is what a worker would have told it that it is.
    ///
    /// # Errors
    ///
    /// When there is no free port, or no shell.
    pub(super) async fn start(
        processes: &Processes,
        function: &str,
        cgroup: Option<Cgroup>,
        clock: &Clock,
    ) -> Result<Self> {
        let failed =
            |what: &str, error| Error::unavailable(format!("cannot {what}")).with_source(error);
        let address = free_address().map_err(|error| failed("find a free port", error))?;
        let port = address.port().to_string();
        let signal = match processes.ready_by {
            ReadyBy::Connection => None,
            ReadyBy::Signal => Some(SignalReady::listen(clock).await),
        };
        let signal = signal.transpose().map_err(|error| failed("find a free port", error))?;
        let command = processes.command.replace("{port}", &port);
        let cgroup = cgroup.map(Arc::new);
        let mut shell = Command::new("sh");
        match &cgroup {
            None => shell.arg("-c").arg(command),
            Some(cgroup) => shell.args(["-c", JOIN, "sh"]).arg(cgroup.processes()).arg(command),
        };
        shell.env("PORT", port).process_group(0);
        if let Some(signal) = &signal {
            shell.env("FUNCTION_ID", function);
            shell.env("CONTROLLER_ADDRESS", signal.address().to_string());
        }
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = shell.spawn().map_err(|error| failed("start a shell", error))?;
        let guard = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .arg(child.id().to_string())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let guard = guard.map_err(|error| {
            end_group(&child);
            failed("start a shell", error)
        })?;
        let said = Arc::new(Mutex::new(String::new()));
        let listener = child.stderr.take().and_then(|stderr| listen(stderr, Arc::clone(&said)));
        Ok(Self { child, guard, address, cgroup, signal, said, listener, ended: None })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it serves.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn cgroup(&self) -> Option<&Arc<Cgroup>> {
        self.cgroup.as_ref()
    }

    /// How it ended, if it has.
    pub(super) fn how_it_ended(&mut self) -> Option<String> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        let ended = self.ended?;
        let said = self.said.lock();
        let said = if said.is_empty() { String::new() } else { format!(", and said: {said}") };
        Some(format!("ended with {ended}{said}"))
    }

    /// How it ended, if it has, with the last that it said: that may come later than its end.
    pub(super) async fn how_it_ended_in_full(&mut self, clock: &Clock) -> Option<String> {
        self.how_it_ended()?;
        let until = clock.now() + PATIENCE;
        // What it has started and left behind may write for longer.
        while self.listener.as_ref().is_some_and(|listener| !listener.is_finished())
            && clock.now() < until
        {
            clock.sleep_until(clock.now() + PAUSE).await;
        }
        self.how_it_ended()
    }

    /// Waits until it has said so, if it is to, and takes connections.
    ///
    /// # Errors
    ///
    /// When it ends before, or is not so within the limit.
    pub(super) async fn ready(&mut self, clock: &Clock, limit: Duration) -> Result<()> {
        let until = clock.now() + limit;
        while !self.is_ready().await {
            if let Some(how) = self.how_it_ended_in_full(clock).await {
                return Err(Error::unavailable(format!("the command {how}")).at("--exec"));
            }
            if clock.now() > until {
                let message = self.not_ready_within(limit);
                return Err(Error::new(ErrorKind::Timeout, message).at("--exec"));
            }
            clock.sleep_until(clock.now() + PAUSE).await;
        }
        Ok(())
    }

    async fn is_ready(&self) -> bool {
        self.signal.as_ref().is_none_or(SignalReady::was_called)
            && TcpStream::connect(self.address).await.is_ok()
    }

    fn not_ready_within(&self, limit: Duration) -> String {
        let limit = format::duration(limit);
        match &self.signal {
            Some(signal) if !signal.was_called() => format!(
                "the command does not call SignalReady of worker.Worker within {limit}; it has to, at the \
                 address in the variable CONTROLLER_ADDRESS"
            ),
            _ => format!(
                "the command takes no connection on port {} within {limit}; it has to serve on the port that \
                 {{port}} in it or the variable PORT names",
                self.address.port()
            ),
        }
    }

    /// Asks it to end, and ends it after a moment.
    pub(super) async fn stop(mut self, clock: &Clock) {
        signal_group(&self.child, Signal::TERM);
        let until = clock.now() + PATIENCE;
        while self.how_it_ended().is_none() && clock.now() < until {
            clock.sleep_until(clock.now() + PAUSE).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end_group(&self.child);
        // A process that was sent this signal ends, so that this does not wait for long.
        let _ = self.child.wait();
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

fn end_group(child: &Child) {
    signal_group(child, Signal::KILL);
}

/// A group without processes is no error.
fn signal_group(child: &Child, signal: Signal) {
    let _ = kill_process_group(Pid::from_child(child), signal);
}

/// One that is free now; another program may take it meanwhile, and the command then fails.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Keeps the last line that a process writes, so that it never waits for a reader.
fn listen(stderr: ChildStderr, said: Arc<Mutex<String>>) -> Option<thread::JoinHandle<()>> {
    /// The most of a line that is looked at, in bytes.
    const LONGEST: u64 = 4 << 10;
    let read = move || {
        let mut reader = BufReader::new(stderr);
        let mut line = Vec::new();
        loop {
            line.clear();
            match io::Read::take(&mut reader, LONGEST).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let text = String::from_utf8_lossy(&line);
                    if !text.trim().is_empty() {
                        *said.lock() = format::foreign(text.trim());
                    }
                }
            }
        }
    };
    // Without a thread the pipe is closed, and what the process writes is lost.
    thread::Builder::new().name("standard error".into()).spawn(read).ok()
}
