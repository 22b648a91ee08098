use hyperfake_predictor::Result;

use super::columns::{Column, Columns};
use crate::record::{OK, Row};

pub(super) const COLUMNS: [&str; 4] = ["app", "func", "end_timestamp", "duration"];

/// The Azure Functions trace of 2021 (`Azure/AzurePublicDataset:AzureFunctionsInvocationTrace2021.md`):
/// seconds, and the moment when a call ended. A function's name is its own only within its app.
#[derive(Debug)]
pub(super) struct Azure2021 {
    columns: Columns,
    places: [Column; 4],
    /// Calls that began before the trace.
    early: u64,
    /// Calls that took no time at all.
    empty: u64,
}

impl Azure2021 {
    pub(super) fn new(columns: Columns) -> Result<Self> {
        let [app, func, end, duration] = COLUMNS.map(|name| columns.need(&[name]));
        let places = [app?, func?, end?, duration?];
        Ok(Self { columns, places, early: 0, empty: 0 })
    }

    pub(super) fn read(&mut self) -> Result<Option<Row<'static>>> {
        let columns = &mut self.columns;
        if !columns.next()? {
            return Ok(None);
        }
        let [app, func, end, duration] = self.places;
        let seconds = |column: Column| {
            let found = columns.seconds(column)?;
            found.ok_or_else(|| columns.wrong(column, "a number of seconds"))
        };
        let (end_ns, run_ns) = (seconds(end)?, seconds(duration)?);
        self.early += u64::from(end_ns < run_ns);
        self.empty += u64::from(run_ns == 0);
        let function = format!("{}/{}", columns.text(app), columns.text(func));
        Ok(Some(Row {
            arrival_unix_ns: end_ns.saturating_sub(run_ns),
            function: function.into(),
            run_ns: Some(run_ns),
            outcome: OK.into(),
            ..Row::default()
        }))
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.early > 0 {
            notes
                .push(format!("{} calls began before the trace: they count from 0 on", self.early));
        }
        if self.empty > 0 {
            notes.push(format!("{} calls have the duration 0", self.empty));
        }
        notes
    }
}
