use std::io;

use serde::Serialize;

use super::{
    Format, Row,
    foreign::{Azure2021, Huawei2025, InVitro},
    format::Encoding,
};

/// How a row begins in JSON.
const FIRST_KEY: &[u8] = b"{\"arrival_unix_ns\":";

/// How rows become lines of text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    pub(super) format: Format,
    pub(super) encoding: Encoding,
}

impl Lines {
    /// The line that a file begins with; empty if there is none.
    pub(super) fn header(self) -> io::Result<Vec<u8>> {
        let mut header = Vec::new();
        if self.encoding == Encoding::Csv {
            // A call that ran, so that every format has a row for it.
            let row = Row { run_ns: Some(0), ..Row::default() };
            self.csv([row].into_iter(), true, &mut header)?;
            let end = header.iter().position(|byte| *byte == b'\n');
            header.truncate(end.map_or(0, |end| end + 1));
        }
        Ok(header)
    }

    /// Appends a line for each of the calls that the format has lines for, and returns how many.
    pub(super) fn append<'a>(
        self,
        rows: impl Iterator<Item = Row<'a>>,
        bytes: &mut Vec<u8>,
    ) -> io::Result<u64> {
        if self.encoding == Encoding::Csv {
            return self.csv(rows, false, bytes);
        }
        let mut count = 0;
        for row in rows {
            serde_json::to_writer(&mut *bytes, &row)?;
            bytes.push(b'\n');
            count += 1;
        }
        Ok(count)
    }

    fn csv<'a>(
        self,
        rows: impl Iterator<Item = Row<'a>>,
        header: bool,
        bytes: &mut Vec<u8>,
    ) -> io::Result<u64> {
        let mut writer = csv::WriterBuilder::new().has_headers(header).from_writer(bytes);
        let mut count = 0;
        for row in rows {
            count += match self.format {
                Format::Own => write(&mut writer, Some(row))?,
                Format::Azure2021 => write(&mut writer, Azure2021::of(&row))?,
                Format::InVitro => write(&mut writer, Some(InVitro::of(&row)))?,
                Format::Huawei2025 => write(&mut writer, Some(Huawei2025::of(&row)))?,
            };
        }
        writer.flush()?;
        Ok(count)
    }

    /// Whether a file that has this alone, without a line end, is one whose first line was being written.
    pub(super) fn is_cut_short(self, first: &[u8]) -> io::Result<bool> {
        let whole = match self.encoding {
            Encoding::Csv => self.header()?,
            _ => FIRST_KEY.to_vec(),
        };
        Ok(whole.starts_with(first)
            || (self.encoding != Encoding::Csv && first.starts_with(&whole)))
    }

    /// Whether a file whose first line is this one, without its end, can be appended to.
    pub(super) fn begins_with(self, first: &[u8]) -> io::Result<bool> {
        Ok(match self.encoding {
            Encoding::Csv => self.header()?.strip_suffix(b"\n") == Some(first),
            _ => serde_json::from_slice::<Row<'_>>(first).is_ok(),
        })
    }
}

/// Writes a row, if there is one, and returns how many were written.
fn write(writer: &mut csv::Writer<&mut Vec<u8>>, row: Option<impl Serialize>) -> io::Result<u64> {
    let Some(row) = row else { return Ok(0) };
    writer.serialize(row).map_err(io::Error::from)?;
    Ok(1)
}

/// The names of the columns of a record, in their order.
pub(super) fn columns() -> Vec<String> {
    let header = Lines { format: Format::Own, encoding: Encoding::Csv }.header();
    let header = String::from_utf8(header.unwrap_or_default()).unwrap_or_default();
    header.trim_end().split(',').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Encoding = Encoding::Csv;

    fn row() -> Row<'static> {
        Row {
            arrival_unix_ns: 1_767_225_600_250_000_000,
            worker: "127.0.0.1:50051".into(),
            function: "f,\"1\"".into(),
            image: "echo".into(),
            instance: Some("0123456789ab".into()),
            call: Some(7),
            cold: Some(true),
            queue_ns: Some(1_000_000),
            cold_start_ns: Some(2_000_000),
            predicted_ns: Some(-5),
            planned_ns: Some(4_000_000),
            run_ns: Some(5_000_000),
            lateness_ns: Some(1_000_000),
            cpu_cores: Some(0.5),
            ram_bytes: Some(8_000_000),
            request_bytes: Some(12),
            function_instances: Some(1),
            active_calls: Some(0),
            worker_cpu_cores: Some(0.0),
            worker_ram_bytes: Some(0),
            outcome: "OK".into(),
            reason: "".into(),
        }
    }

    /// The file that a call makes, as text.
    fn file(format: Format, encoding: Encoding, row: Row<'_>) -> String {
        let lines = Lines { format, encoding };
        let mut bytes = lines.header().unwrap();
        lines.append([row].into_iter(), &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_record_has_the_columns_in_their_order() {
        assert_eq!(
            file(Format::Own, CSV, row()),
            "arrival_unix_ns,worker,function,image,instance,call,cold,queue_ns,cold_start_ns,\
             predicted_ns,planned_ns,run_ns,lateness_ns,cpu_cores,ram_bytes,request_bytes,\
             function_instances,active_calls,worker_cpu_cores,worker_ram_bytes,outcome,reason\n\
             1767225600250000000,127.0.0.1:50051,\"f,\"\"1\"\"\",echo,0123456789ab,7,true,1000000,\
             2000000,-5,4000000,5000000,1000000,0.5,8000000,12,1,0,0.0,0,OK,\n"
        );
        let text = file(Format::Own, Encoding::JsonLines, row());
        assert!(
            text.starts_with("{\"arrival_unix_ns\":1767225600250000000,\"worker\":")
                && text.ends_with(",\"outcome\":\"OK\",\"reason\":\"\"}\n"),
            "{text}"
        );
    }

    #[test]
    fn what_is_not_known_is_empty_and_null() {
        let csv = file(Format::Own, CSV, Row::default());
        assert!(csv.ends_with("\n0,,,,,,,,,,,,,,,,,,,,,\n"), "{csv}");
        let json = file(Format::Own, Encoding::JsonLines, Row::default());
        assert!(json.contains("\"instance\":null,\"call\":null"), "{json}");
    }

    #[test]
    fn the_formats_of_others_have_their_columns_and_units() {
        assert_eq!(
            file(Format::Azure2021, CSV, row()),
            "app,func,end_timestamp,duration\necho,\"f,\"\"1\"\"\",1767225600.258000000,0.005000000\n"
        );
        assert_eq!(
            file(Format::InVitro, CSV, row()),
            "phase,instance,invocationID,startTime,requestedDuration,grpcConnEstablish,responseTime,\
             actualDuration,connectionTimeout,functionTimeout,actualMemoryUsage,\
             memoryAllocationTimeout,timeToSubmitMs,userCodeExecutionMs,timeToGetResponseMs\n\
             2,\"f,\"\"1\"\"-0123456789ab\",inv7,1767225600250000,4000,0,8000,5000,false,false,7,false,\
             0,0,0\n"
        );
        assert_eq!(
            file(Format::Huawei2025, CSV, row()),
            "time_worker,time_frontend,requestID,clusterName,funcName,podID,userID,totalCost_worker,\
             workerCost,runtimeCost,totalCost_frontend,frontendCost,busCost,readBodyCost,\
             writeRspCost,cpu_usage,memory_usage,requestBodySize\n\
             1767225600.250000000,,\"127.0.0.1:50051-f,\"\"1\"\"-7\",127.0.0.1:50051,\"f,\"\"1\"\"\",\
             0123456789ab,,0.008000000,0.003000000,0.005000000,,,,,,0.5,8.0,12\n"
        );
    }

    #[test]
    fn a_call_that_did_not_run_is_in_no_trace_of_durations() {
        let refused = Row { run_ns: None, outcome: "RESOURCE_EXHAUSTED".into(), ..row() };
        assert_eq!(file(Format::Azure2021, CSV, refused.clone()).lines().count(), 1);
        let text = file(Format::InVitro, CSV, refused.clone());
        assert!(text.contains(",3000,0,false,true,"), "{text}");
        let text = file(Format::Huawei2025, CSV, refused);
        assert!(text.contains(",0.003000000,0.003000000,,,"), "{text}");
    }
}
