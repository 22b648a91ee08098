//! `hyperfake clone`: measures a function, fits a model, serves it, calls both as they have not been called
//! before, and says how wrong the fake is.

mod fake;
mod files;
mod fitting;
mod workload;

use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};

use hyperfake_predictor::Result;

use self::{files::Files, workload::Workload};
use super::{Output, interrupt, measure as measuring};
use crate::{
    args::CloneArgs,
    clock::precise,
    compare::{self, Comparison, Run},
    measure::{Measured, Plan, Session, Subject},
    record::Row,
    report::{Percentiles, Progress, format},
};

/// Makes the fake.
///
/// # Errors
///
/// When the function cannot be started or ends early, when nothing can be learned, when the fake cannot be
/// served, and when a file cannot be written.
pub async fn run(args: CloneArgs) -> Result<Output> {
    let clock = precise::start();
    let name = measuring::name(args.calls.name.as_deref(), Some(&args.exec));
    let files = Files::new(&args.out, &name).map_err(|error| error.at("--out"))?;
    let protocol = measuring::of_calls(&args.calls, None)?;
    let plan = Plan {
        name: name.clone(),
        subject: Subject::Processes(measuring::processes(&args.exec, &args.instances)),
        bodies: measuring::bodies(&args.calls, args.calls.http.is_some())?,
        protocol,
        warm_up: Duration::ZERO,
        concurrency: args.calls.concurrency,
        deadline: args.calls.deadline,
        cold_starts: args.instances.cold_starts,
    };
    let stop = interrupt::stop_by_signal();
    let mut session = Session::start(plan.clone(), &clock, &stop).await?;
    let mut most = Vec::new();
    for body in 0..plan.bodies.len() {
        most.push(measuring::capacity(&session, body).await?);
    }
    let workload = Workload::new(&most, args.time, args.calls.seed);
    session.set_warm_up(workload.warm_up());
    let shown = Progress::new(&format!("measuring {name}, seconds"), args.time.as_secs());
    session.run(workload.phases(), |progress| measuring::show(&shown, progress)).await;
    shown.finish();
    let measured = whole(session.finish().await)?;

    let [train, real, again] = workload.split(&measured);
    files.record(&files.measured, &train)?;
    files.record(&files.real, &real)?;
    files.record(&files.again, &again)?;
    files.scenario(&measured.cold_starts, args.calls.concurrency)?;
    let fitted = fitting::fit(train, args.fit_time, args.calls.seed, &stop).await?;
    files.remove_models()?;
    let written = fitted.write(&files.model).map_err(|error| error.at("--out"))?;

    let fake = fake::Fake::start(&files, &written.model, &name, args.instances.instances).await?;
    let seen = fake.replay(&plan, &workload, &clock, &stop).await;
    let model = fake.model(&name)?;
    let recorded = fake.stop().await?;
    let seen = whole(seen?)?;
    let fake = workload.of_fake(&recorded, &seen)?;
    files.record(&files.fake, &fake)?;

    let options =
        compare::Options { models: [(name.clone(), model)].into(), ..compare::Options::default() };
    let run = |name: &Path, rows: &[Row<'_>]| Run::of(name.display().to_string(), rows);
    let comparison = compare::compare(
        run(&files.real, &real)?,
        run(&files.fake, &fake)?,
        Some(run(&files.again, &again)?),
        &options,
    )?;
    files.write(&files.page, &comparison.page()?)?;
    files.write(&files.comparison, &(comparison.json() + "\n"))?;
    let late = measured.late_percent.max(seen.late_percent);
    let invalid = (late > MOST_LATE).then(|| {
        format!(
            "INVALID: {late:.1} % of the calls were sent more than 10 ms late: the machine was busy with \
             something else"
        )
    });
    let succeeded =
        invalid.is_none() && args.fail_above.is_none_or(|most| comparison.is_within(most));
    let notes = notes(&measured, &seen, invalid);
    let text = match args.json {
        true => {
            for note in &notes {
                let _ = writeln!(io::stderr(), "{note}");
            }
            comparison.json()
        }
        false => summary(&comparison, &notes, &seen, &fake, &files, &written.model),
    };
    Ok(Output { text, succeeded })
}

/// More late calls of 100 than this, and the numbers say how busy this machine was.
const MOST_LATE: f64 = 1.0;

/// What ended early is no clone.
fn whole(measured: Measured) -> Result<Measured> {
    match measured.stopped {
        Some(error) => Err(error),
        None => Ok(measured),
    }
}

/// What was not as it was asked for, of the function and of the fake.
fn notes(measured: &Measured, seen: &Measured, invalid: Option<String>) -> Vec<String> {
    let of_fake = seen.notes.iter().map(|note| format!("the fake: {note}"));
    let notes = measured.notes.iter().cloned().chain(of_fake).chain(invalid);
    notes.map(|note| format::foreign(&note)).collect()
}

fn summary(
    comparison: &Comparison,
    notes: &[String],
    seen: &Measured,
    fake: &[Row<'_>],
    files: &Files,
    model: &Path,
) -> String {
    let mut text = comparison.text();
    for note in notes {
        text += &format!("\n{note}");
    }
    let median =
        |times: &mut dyn Iterator<Item = u64>| Percentiles::of(times).map(|found| found.p50);
    let client = median(&mut seen.rows().filter_map(|row| row.run_ns));
    let worker = median(&mut fake.iter().filter_map(|row| row.run_ns));
    if let Some((client, worker)) = client.zip(worker) {
        let more = format::nanoseconds(client as f64 - worker as f64);
        text += &format!(
            "\na client of the fake sees {more} more, in the median: the way to the worker and back, which \
             the measured times have in them already"
        );
    }
    text + &format!(
        "\n\nthe report is {}\nserve the fake with\n    {}",
        files.page.display(),
        files.serve_line(model)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_as_asked_for_is_said_of_the_function_and_of_the_fake() {
        let with = |note: &str| Measured { notes: vec![note.to_owned()], ..Measured::default() };
        let found = notes(&with("no limits"), &with("phase 1 ended early"), Some("INVALID".into()));
        assert_eq!(found, ["no limits", "the fake: phase 1 ended early", "INVALID"]);
    }
}
