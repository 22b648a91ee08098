use hyperfake_predictor::Result;

use super::columns::{Column, Columns};
use crate::record::{OK, Row};

/// The scripts write the CPU in per cent of a core, as Docker does.
const PERCENT: f64 = 100.0;

/// The training data of HyperFaaS's scripts: the table `training_data` of
/// `adsp-hyperfake/HyperFaaS:benchmarks/process.py`, exported as CSV, and the older names of its columns.
///
/// Its features are not those that a worker tells a model: active calls are counted over all functions and
/// in a window, instances over all functions, and CPU and memory are means over the containers where a
/// worker sums. With a column `timestamp` they are worked out again from how the calls overlap.
#[derive(Debug)]
pub(super) struct HyperFaas {
    columns: Columns,
    image: Column,
    body: Column,
    run_time: Column,
    cpu: Column,
    ram: Column,
    time: Option<Column>,
    status: Option<Column>,
    instance: Option<Column>,
    /// Instances, active calls, CPU and memory of the worker.
    state: [Option<Column>; 4],
    /// Calls whose CPU and memory are 0: the scripts found none.
    without: u64,
}

impl HyperFaas {
    pub(super) fn new(columns: Columns) -> Result<Self> {
        Ok(Self {
            image: columns.need(&["image_tag", "function_image_tag"])?,
            body: columns.need(&["request_size_bytes", "request_body_size"])?,
            run_time: columns.need(&["function_processing_time_ns", "function_runtime"])?,
            cpu: columns.need(&["function_cpu_usage"])?,
            ram: columns.need(&["function_ram_usage"])?,
            time: columns.find(&["timestamp"]),
            status: columns.find(&["status"]),
            instance: columns.find(&["instance_id"]),
            state: [
                columns.find(&["function_instances_count"]),
                columns.find(&["active_function_calls_count"]),
                columns.find(&["worker_cpu_usage"]),
                columns.find(&["worker_ram_usage"]),
            ],
            columns,
            without: 0,
        })
    }

    pub(super) fn has_moments(&self) -> bool {
        self.time.is_some()
    }

    pub(super) fn read(&mut self) -> Result<Option<Row<'static>>> {
        if !self.columns.next()? {
            return Ok(None);
        }
        let columns = &self.columns;
        let whole =
            |column| Ok(columns.number_of(column)?.map(|number: f64| number.round() as u64));
        let arrival = match self.time {
            Some(time) => {
                let found = columns.number(time)?;
                found.ok_or_else(|| columns.wrong(time, "nanoseconds since the Unix epoch"))? as u64
            }
            // The order of the rows is the order of time.
            None => columns.rows(),
        };
        let (cpu, ram) = (columns.number(self.cpu)?, whole(Some(self.ram))?);
        let is_without = cpu == Some(0.0) && ram == Some(0);
        self.without += u64::from(is_without);
        let [instances, active, worker_cpu, worker_ram] = self.state;
        // What can be worked out is: by the same definitions as in a worker.
        let stated = |column| if self.time.is_some() { None } else { column };
        let image = columns.text(self.image);
        Ok(Some(Row {
            arrival_unix_ns: arrival,
            function: image.clone().into(),
            image: image.into(),
            instance: self.instance.map(|instance| columns.text(instance).into()),
            run_ns: whole(Some(self.run_time))?,
            cpu_cores: cpu.filter(|_| !is_without).map(|percent| percent / PERCENT),
            ram_bytes: ram.filter(|_| !is_without),
            request_bytes: whole(Some(self.body))?,
            // With the instance's id they can be counted.
            function_instances: whole(
                instances.filter(|_| self.instance.is_none() || self.time.is_none()),
            )?,
            active_calls: whole(stated(active))?,
            worker_cpu_cores: columns.number_of(stated(worker_cpu))?.map(|cpu| cpu / PERCENT),
            worker_ram_bytes: whole(stated(worker_ram))?,
            outcome: self.outcome().into(),
            ..Row::default()
        }))
    }

    fn outcome(&self) -> String {
        let status = self.status.map_or_else(String::new, |status| self.columns.text(status));
        match &*status.to_ascii_lowercase() {
            "" | "ok" | "0" | "200" | "success" => OK.to_owned(),
            _ => status,
        }
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = vec![match self.time {
            Some(_) => {
                "active calls, CPU and memory of the worker are worked out from how the calls \
                 overlap: HyperFaaS's scripts define them in another way than a worker does"
            }
            None => {
                "without the column timestamp, the features are those of HyperFaaS's scripts, which \
                 define four of the five in another way than a worker does"
            }
        }
        .to_owned()];
        if self.without > 0 {
            let message = "calls have neither CPU nor memory: they count as not known";
            notes.push(format!("{} {message}", self.without));
        }
        notes
    }
}
