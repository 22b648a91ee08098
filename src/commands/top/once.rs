//! What is the case now, as text.

use std::fmt::Write;

use super::{
    model::{Model, WorkerLine},
    numbers::{age, number, percent, seconds},
    ui::Ui,
};
use crate::report::format;

/// The most functions and workers that are shown.
const SHOWN: usize = 50;

/// All of it on lines of their own.
pub(super) fn text(ui: &Ui) -> String {
    let mut text = totals(ui.model());
    let functions = ui.functions();
    if !functions.is_empty() {
        let columns =
            ["calls/s", "failed/s", "instances", "p50", "p90", "p99", "cold", "predicted", "ran"];
        text += "\n";
        columns.iter().for_each(|title| text += &format!("{title:>10}"));
        text += "  function\n";
    }
    for line in functions.iter().take(SHOWN) {
        let row = &line.row;
        let numbers = [row.rate, row.failed, line.instances].map(number);
        let times = [row.p50_s, row.p90_s, row.p99_s].map(seconds);
        let more = [percent(row.cold), seconds(row.predicted_s), seconds(row.ran_s)];
        numbers.iter().chain(&times).chain(&more).for_each(|cell| text += &format!("{cell:>10}"));
        let _ = writeln!(text, "  {} {}", line.id, line.image);
    }
    rest(&mut text, functions.len(), "functions");
    let mut workers: Vec<_> = ui.model().workers.iter().collect();
    if workers.len() > 1 {
        workers.sort_by(|a, b| b.rate.total_cmp(&a.rate));
        let titles = ["calls/s", "failed/s", "active", "instances", "CPU", "memory"];
        text += "\n";
        titles.iter().for_each(|title| text += &format!("{title:>10}"));
        text += "  worker\n";
        for WorkerLine { name, rate, failed, active, instances, cpu, ram } in
            workers.iter().take(SHOWN)
        {
            let numbers = [rate, failed, active, instances].map(|value| number(*value));
            let shares = [cpu, ram].map(|share| percent(Some(*share)));
            numbers.iter().chain(&shares).for_each(|cell| text += &format!("{cell:>10}"));
            let _ = writeln!(text, "  {name}");
        }
        rest(&mut text, workers.len(), "workers");
    }
    text.truncate(text.trim_end().len());
    text
}

fn totals(model: &Model) -> String {
    let totals = &model.totals;
    let instances = |index: usize| number(totals.instances.get(index).copied().unwrap_or_default());
    let latency = |index: usize| {
        seconds(totals.latency_s.as_ref().and_then(|latency| latency.get(index)).copied())
    };
    let (ended, failed) = (totals.ended(), totals.failed());
    let share = (ended > 0.0).then(|| failed / ended);
    let scenario = match &*model.scenario {
        "" => "plain",
        named => named,
    };
    [
        ("worker", format!("{}, version {}", model.address, &*model.version)),
        ("up", format!("{}, scenario {scenario}", age(model.up_s))),
        ("calls", format!("{} each second, {} cold", number(ended), percent(totals.cold))),
        ("failed", format!("{} each second, {} of calls", number(failed), percent(share))),
        ("active", format!("{}, {} of them queued", number(totals.active), number(totals.queued))),
        ("latency", {
            let [p50, p90, p99, max] = [0, 1, 2, 3].map(latency);
            format!("p50 {p50}, p90 {p90}, p99 {p99}, max {max}")
        }),
        ("instances", {
            let [starting, idle, busy, stopping] = [0, 1, 2, 3].map(instances);
            format!("{starting} starting, {idle} idle, {busy} busy, {stopping} stopping")
        }),
        ("cpu", format!("{:.3} of {} cores", totals.cpu_cores, totals.cpu_capacity_cores)),
        ("ram", {
            let [used, all] = [totals.ram_bytes, totals.ram_capacity_bytes].map(format::bytes);
            format!("{used} of {all}")
        }),
    ]
    .iter()
    .map(|(name, value)| format!("{name:<11} {value}\n"))
    .collect()
}

fn rest(text: &mut String, all: usize, what: &str) {
    if all > SHOWN {
        let _ = writeln!(text, "{:>10} more {what}", all - SHOWN);
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::model::tests::{functions, model, second, state},
        *,
    };

    #[test]
    fn a_snapshot_is_lines_of_text() {
        let ui = Ui::new(model([state(), functions(), second(1, &[(1, 103.0)])]));
        let expected = "\
worker      http://localhost:8990/, version 0.1.0
up          1 min 0 s, scenario chaos
calls       103 each second, 10 % cold
failed      3 each second, 2.9 % of calls
active      12, 3 of them queued
latency     p50 7 ms, p90 20 ms, p99 500 ms, max 700 ms
instances   1 starting, 2 idle, 3 busy, 0 stopping
cpu         1.250 of 4 cores
ram         8 MB of 1 GB

   calls/s  failed/s instances       p50       p90       p99      cold predicted       ran  function
       103         1         0      7 ms      8 ms      9 ms      25 %      7 ms  7.100 ms  f-one echo
         0         0         6         -         -         -         -         -         -  f-two sleep

   calls/s  failed/s    active instances       CPU    memory  worker
       102         3        12         4      30 %     1.0 %  127.0.0.1:2
         1         0         0         2       0 %       0 %  127.0.0.1:1";
        assert_eq!(text(&ui), expected);
    }

    #[test]
    fn of_many_functions_the_first_are_shown() {
        let calls: Vec<_> = (0..80).map(|place| (place, place as f64)).collect();
        let text = text(&Ui::new(model([state(), functions(), second(1, &calls)])));
        assert!(text.contains("\n        30 more functions\n"), "{text}");
    }
}
