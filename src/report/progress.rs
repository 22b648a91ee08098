//! How far long work is.

use std::{
    io::{self, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

use super::format;
use crate::clock::{Moment, precise};

/// Shows on standard error how far long work is: as a bar where that is a terminal, and elsewhere as a
/// line every 10 s. Work that takes less time writes no line.
///
/// Any thread may tell how far it is. A bar disappears when the work is finished and when this is
/// dropped, so that what a command says next begins on a line of its own.
#[derive(Debug)]
pub(crate) struct Progress(Shown);

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines(Mutex<Lines>),
}

/// The time between two lines.
const INTERVAL: Duration = Duration::from_secs(10);
/// How often a bar is drawn in a second, at most.
const DRAWN: u8 = 10;
const BAR: &str = "{prefix} [{wide_bar}] {human_pos}/{human_len} ({percent} %), {eta} left{msg}";
/// Of work whose end is not known.
const NO_BAR: &str = "{spinner} {prefix} {human_pos}{msg}";

impl Progress {
    /// Work with this name, which consists of so many parts; 0 if that is not known.
    #[must_use]
    pub(crate) fn new(what: &str, total: u64) -> Self {
        let what = format::foreign(what);
        let target = ProgressDrawTarget::stderr_with_hz(DRAWN);
        // Also on a terminal that cannot move its cursor.
        if target.is_hidden() {
            return Self(Shown::Lines(Mutex::new(Lines::new(what, total, precise::now()))));
        }
        let (length, template) = match total {
            0 => (None, NO_BAR),
            total => (Some(total), BAR),
        };
        let bar = ProgressBar::with_draw_target(length, target).with_prefix(what);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.tick();
        Self(Shown::Bar(bar))
    }

    /// So many parts are done.
    pub(crate) fn set(&self, done: u64) {
        match &self.0 {
            Shown::Bar(bar) => bar.set_position(done),
            Shown::Lines(lines) => show(lines.lock().set(done, precise::now())),
        }
    }

    /// What is shown beside the numbers from now on.
    pub(crate) fn message(&self, text: impl AsRef<str>) {
        let text = format::foreign(text.as_ref());
        match &self.0 {
            Shown::Bar(bar) => bar.set_message(format!("; {text}")),
            Shown::Lines(lines) => lines.lock().message = text,
        }
    }

    /// The work is done.
    pub(crate) fn finish(self) {
        if let Shown::Lines(lines) = &self.0 {
            show(lines.lock().finish(precise::now()));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Standard error that is closed holds nothing up.
fn show(line: Option<String>) {
    if let Some(line) = line {
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// What is written where there is no terminal.
#[derive(Debug)]
struct Lines {
    what: String,
    total: u64,
    done: u64,
    message: String,
    began: Moment,
    /// When the latest line was written, or the beginning.
    written: Moment,
}

impl Lines {
    fn new(what: String, total: u64, now: Moment) -> Self {
        Self { what, total, done: 0, message: String::new(), began: now, written: now }
    }

    /// A line, if one is due.
    fn set(&mut self, done: u64, now: Moment) -> Option<String> {
        self.done = done;
        if now - self.written < INTERVAL {
            return None;
        }
        self.written = now;
        Some(self.line(now))
    }

    /// The last line, if it is not the only one.
    fn finish(&mut self, now: Moment) -> Option<String> {
        if self.written == self.began {
            return None;
        }
        self.done = self.done.max(self.total);
        Some(self.line(now))
    }

    fn line(&self, now: Moment) -> String {
        let Self { what, total, done, message, .. } = self;
        let passed = (now - self.began).as_secs_f64();
        let mut line = format!("{what}: {done}");
        if *total > 0 {
            let share = (*done as f64 / *total as f64).min(1.0);
            line += &format!(" of {total} ({:.0} %)", 100.0 * share);
            if share > 0.0 && share < 1.0 {
                line += &format!(", {:.0} s left", passed / share - passed);
            }
        }
        line += &format!(", {passed:.0} s passed");
        if !message.is_empty() {
            line += &format!("; {message}");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: u64) -> Moment {
        Moment::default() + Duration::from_secs(second)
    }

    #[test]
    fn long_work_writes_a_line_every_ten_seconds_and_one_at_its_end() {
        let mut lines = Lines::new("fitting".into(), 400, second(5));
        let written = (5..=40).filter_map(|now| lines.set((now - 5) * 10, second(now)));
        let expected = [
            "fitting: 100 of 400 (25 %), 30 s left, 10 s passed",
            "fitting: 200 of 400 (50 %), 20 s left, 20 s passed",
            "fitting: 300 of 400 (75 %), 10 s left, 30 s passed",
        ];
        assert_eq!(written.collect::<Vec<_>>(), expected);
        lines.message = "round 3".into();
        let last = lines.finish(second(45));
        assert_eq!(last.unwrap(), "fitting: 400 of 400 (100 %), 40 s passed; round 3");
    }

    #[test]
    fn short_work_writes_nothing() {
        let mut lines = Lines::new("fitting".into(), 10, second(0));
        assert!((0..10).all(|now| lines.set(now, second(now)).is_none()));
        assert_eq!(lines.finish(second(9)), None);
    }

    #[test]
    fn work_of_unknown_size_is_counted_and_more_work_than_expected_is_no_share_above_one() {
        let mut lines = Lines::new("reading".into(), 0, second(0));
        assert_eq!(lines.set(7, second(10)).unwrap(), "reading: 7, 10 s passed");
        let mut lines = Lines::new("reading".into(), 5, second(0));
        assert_eq!(lines.set(7, second(10)).unwrap(), "reading: 7 of 5 (100 %), 10 s passed");
    }

    #[test]
    fn a_bar_has_a_template_that_can_be_read() {
        for template in [BAR, NO_BAR] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
