//! `hyperfake measure`: runs a function, or calls one that runs, and records what its calls cost.

mod bodies;
mod numbers;
mod subject;

use std::time::Duration;

use hyperfake_predictor::{Error, Result};

pub(super) use self::{
    bodies::bodies,
    numbers::report,
    subject::{name, of_calls, processes},
};
use super::{Output, interrupt, target};
use crate::{
    args::MeasureArgs,
    client::{Peer, Target},
    clock::precise,
    measure::{self, Plan, Protocol, Session, Subject},
    record::{Destination, Format, Row, RowFile},
    report::Progress,
};

/// Measures. What goes wrong after the first call ends the run; what was measured until then is recorded
/// and shown.
///
/// # Errors
///
/// When nothing can be started or answers, when the bodies cannot be read or the file cannot be written.
pub async fn run(args: MeasureArgs) -> Result<Output> {
    let clock = precise::start();
    let plan = plan(&args)?;
    let file = args.out.as_deref().map(|path| RowFile::open(Destination::new(path, Format::Own)?));
    let file = file.transpose().map_err(|error| error.at("--out"))?;
    let stop = interrupt::stop_by_signal();
    let name = plan.name.clone();
    let mut session = Session::start(plan, &clock, &stop).await?;
    let rates = rates(&args, &session).await?;
    let phases = measure::phases(&rates, args.phase, args.rounds, args.calls.seed);
    let total: Duration = phases.iter().map(|phase| phase.length).sum();
    let shown = Progress::new(&format!("measuring {name}, seconds"), total.as_secs());
    session.run(&phases, |progress| show(&shown, progress)).await;
    shown.finish();
    let measured = session.finish().await;
    if let Some(file) = file {
        write(file, measured.rows()).map_err(|error| error.at("--out"))?;
    }
    let report = report(&name, &measured, &phases);
    let text = if args.json { report.json() } else { report.text() };
    Ok(Output { text, succeeded: report.succeeded() })
}

fn plan(args: &MeasureArgs) -> Result<Plan> {
    let protocol = subject::protocol(args)?;
    let is_http = matches!(protocol, Protocol::Http { .. });
    let bodies = bodies(&args.calls, is_http)?;
    let subject = match (&args.exec, &args.target) {
        (Some(command), _) => Subject::Processes(processes(command, &args.instances)),
        (None, address) => {
            let address = address.as_deref().unwrap_or_default();
            let tls = target::tls(Peer::Leaf, address, "", &args.tls)?;
            let address = subject::authority(address).to_owned();
            let deadline = args.calls.deadline;
            Subject::Running(Target {
                peer: Peer::Leaf,
                address,
                tls,
                max_message_bytes: MAX_ANSWER,
                deadline,
            })
        }
    };
    if args.phase <= args.warm_up {
        let (found, warm_up) = (args.phase, args.warm_up);
        let message = format!(
            "found {found:?}, expected longer than the warm-up ({warm_up:?}), which is left out"
        );
        return Err(Error::invalid(message).at("--phase"));
    }
    Ok(Plan {
        name: name(args.calls.name.as_deref(), args.exec.as_deref()),
        subject,
        protocol,
        bodies,
        warm_up: args.warm_up,
        concurrency: args.calls.concurrency,
        deadline: args.calls.deadline,
        cold_starts: args.instances.cold_starts,
    })
}

/// The largest answer, in bytes.
const MAX_ANSWER: usize = 64 << 20;
/// For how long it is found out how much an instance can do with a body.
const PROBE: Duration = Duration::from_secs(1);
/// The most calls a second, unless it is said: more of them teach nothing more.
pub(super) const MOST: f64 = 300.0;

/// The rates for each body.
async fn rates(args: &MeasureArgs, session: &Session) -> Result<Vec<Vec<f64>>> {
    const SHARES: [f64; 4] = [0.1, 0.3, 0.5, 0.7];
    let bodies = session.bodies();
    if !args.rates.is_empty() {
        return Ok(vec![args.rates.clone(); bodies]);
    }
    let mut rates = Vec::new();
    for body in 0..bodies {
        let most = capacity(session, body).await?;
        rates.push(SHARES.iter().map(|share| share * most).collect());
    }
    Ok(rates)
}

/// The calls a second of which rates are shares.
pub(super) async fn capacity(session: &Session, body: usize) -> Result<f64> {
    session.capacity(body, PROBE).await.map(|found| found.min(MOST / 0.7))
}

pub(super) fn show(shown: &Progress, progress: &measure::Progress) {
    let measure::Progress { phase, phases, done, calls, failed, .. } = progress;
    shown.message(format!("phase {} of {phases}, {calls} calls, {failed} failed", phase + 1));
    shown.set(done.as_secs());
}

/// Appends rows, and finishes the file.
pub(super) fn write<'a>(
    mut file: RowFile,
    rows: impl Iterator<Item = &'a Row<'static>>,
) -> Result<()> {
    let path = file.path().display().to_string();
    let written = file.append(rows.cloned()).and_then(|_| file.close());
    written.map_err(|error| Error::unavailable("cannot write the file").with_source(error).at(path))
}
