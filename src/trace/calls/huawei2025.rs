use hyperfake_predictor::Result;

use super::columns::{Column, Columns};
use crate::record::{OK, Row};

const BYTES_PER_MB: f64 = 1e6;

/// The table of requests of the Huawei trace of 2025 (`sir-lab/data-release:README_data_release_2025.md`):
/// seconds, cores and megabytes. A function is its name, its user and its pool of pods.
#[derive(Debug)]
pub(super) struct Huawei2025 {
    columns: Columns,
    time: Column,
    function: Column,
    pod: Column,
    run_time: Column,
    user: Option<Column>,
    cluster: Option<Column>,
    cpu: Option<Column>,
    ram: Option<Column>,
    body: Option<Column>,
    /// Calls without a run time.
    without: u64,
}

impl Huawei2025 {
    pub(super) fn new(columns: Columns) -> Result<Self> {
        Ok(Self {
            time: columns.need(&["time_worker"])?,
            function: columns.need(&["funcName"])?,
            pod: columns.need(&["podID"])?,
            run_time: columns.need(&["runtimeCost"])?,
            user: columns.find(&["userID"]),
            cluster: columns.find(&["clusterName"]),
            cpu: columns.find(&["cpu_usage"]),
            ram: columns.find(&["memory_usage"]),
            body: columns.find(&["requestBodySize"]),
            columns,
            without: 0,
        })
    }

    pub(super) fn read(&mut self) -> Result<Option<Row<'static>>> {
        if !self.columns.next()? {
            return Ok(None);
        }
        let columns = &self.columns;
        let arrival = columns.seconds(self.time)?;
        let arrival = arrival.ok_or_else(|| columns.wrong(self.time, "a number of seconds"))?;
        let run_ns = columns.seconds(self.run_time)?;
        self.without += u64::from(run_ns.is_none());
        let pod = columns.text(self.pod);
        // `pool22-300-128-0000618412` is a pod of `pool22-300-128`.
        let pool = pod.rsplit_once('-').map_or("", |(pool, _)| pool);
        let user = self.user.map_or_else(String::new, |user| columns.text(user));
        let function = match (&*user, pool) {
            ("", "") => columns.text(self.function),
            _ => format!("{}---{user}---{pool}", columns.text(self.function)),
        };
        let cluster = self.cluster.map_or_else(String::new, |cluster| columns.text(cluster));
        let ram = columns.number_of(self.ram)?;
        Ok(Some(Row {
            arrival_unix_ns: arrival,
            worker: cluster.into(),
            function: function.into(),
            instance: (!pod.is_empty()).then(|| pod.clone().into()),
            run_ns,
            cpu_cores: columns.number_of(self.cpu)?,
            ram_bytes: ram.map(|megabytes| (megabytes * BYTES_PER_MB).round() as u64),
            request_bytes: columns.number_of(self.body)?.map(|bytes| bytes.round() as u64),
            outcome: OK.into(),
            ..Row::default()
        }))
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            "time_worker counts as the arrival, CPU and memory are the pod's: the trace knows none of \
             a single call"
                .to_owned(),
        ];
        if self.without > 0 {
            notes.push(format!("{} calls have no runtimeCost", self.without));
        }
        notes
    }
}
