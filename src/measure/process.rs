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

use super::cgroup::Cgroup;
use crate::{clock::Clock, report::format};

/// A process that runs a function, with all that it starts. Dropping it ends them; when this program is
/// killed, a guard does.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    guard: Child,
    address: SocketAddr,
    cgroup: Option<Arc<Cgroup>>,
    /// The last line that it wrote on its standard error.
    said: Arc<Mutex<String>>,
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
    /// Starts a command on a port of its own.
    ///
    /// # Errors
    ///
    /// When there is no free port, or no shell.
    pub(super) fn start(command: &str, cgroup: Option<Cgroup>) -> Result<Self> {
        let failed =
            |what: &str, error| Error::unavailable(format!("cannot {what}")).with_source(error);
        let address = free_address().map_err(|error| failed("find a free port", error))?;
        let port = address.port().to_string();
        let command = command.replace("{port}", &port);
        let cgroup = cgroup.map(Arc::new);
        let mut shell = Command::new("sh");
        match &cgroup {
            None => shell.arg("-c").arg(command),
            Some(cgroup) => shell.args(["-c", JOIN, "sh"]).arg(cgroup.processes()).arg(command),
        };
        shell.env("PORT", port).process_group(0);
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
        if let Some(stderr) = child.stderr.take() {
            listen(stderr, Arc::clone(&said));
        }
        Ok(Self { child, guard, address, cgroup, said, ended: None })
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

    /// Waits until it takes connections.
    ///
    /// # Errors
    ///
    /// When it ends before, or takes none within the limit.
    pub(super) async fn ready(&mut self, clock: &Clock, limit: Duration) -> Result<()> {
        let until = clock.now() + limit;
        while TcpStream::connect(self.address).await.is_err() {
            if let Some(how) = self.how_it_ended() {
                // What it said last may still be on its way.
                clock.sleep_until(clock.now() + 20 * PAUSE).await;
                let how = self.how_it_ended().unwrap_or(how);
                return Err(Error::unavailable(format!("the command {how}")).at("--exec"));
            }
            if clock.now() > until {
                let (limit, port) = (format::duration(limit), self.address.port());
                let message = format!(
                    "the command takes no connection on port {port} within {limit}; it has to serve on the \
                     port that {{port}} in it or the variable PORT names"
                );
                return Err(Error::new(ErrorKind::Timeout, message).at("--exec"));
            }
            clock.sleep_until(clock.now() + PAUSE).await;
        }
        Ok(())
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
fn listen(stderr: ChildStderr, said: Arc<Mutex<String>>) {
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
    let _ = thread::Builder::new().name("standard error".into()).spawn(read);
}
