use std::fmt::Write;

use comfy_table::presets::UTF8_BORDERS_ONLY;

use super::{Comparison, State, tables};
use crate::report::format::foreign;

impl Comparison {
    /// For a terminal: what was checked, and a row for each function and each number over time.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}, compared with {}{}",
            foreign(&self.records.fake),
            foreign(&self.records.real),
            self.repeat.as_ref().map_or(String::new(), |name| format!(" and {}", foreign(name)))
        );
        for check in &self.checks {
            let _ = write!(text, "\n{:<8} {}", check.state.name(), check.text);
        }
        for table in [tables::summary(self), tables::over_time(self)] {
            let mut shown = comfy_table::Table::new();
            shown.load_style(UTF8_BORDERS_ONLY);
            shown.set_header(table.head);
            for row in table.rows {
                shown.add_row(row);
            }
            let _ = write!(text, "\n{shown}");
        }
        if let Some(reason) = &self.over_time.not_compared_because {
            let _ = write!(text, "\nno NMSE: {reason}");
        }
        text
    }
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Invalid => "INVALID",
            Self::Warning => "warning",
            Self::Note => "note",
            Self::Fine => "fine",
        }
    }
}
