//! Traces with a row for each call.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use crate::{Function, Size};

/// A call: its function's number, when it began, and how long it ran, both in seconds.
type Call = (usize, f64, f64);

/// All calls, in the order in which they began.
fn calls(functions: &[Function], size: Size) -> Vec<Call> {
    let mut all = Vec::new();
    for minute in 0..size.minutes {
        for (number, function) in functions.iter().enumerate() {
            let calls = function.single_calls(minute);
            let begin = 60.0 * minute as f64;
            all.extend(calls.into_iter().map(|(at, ms)| (number, begin + at, ms / 1e3)));
        }
    }
    all.sort_by(|one, other| one.1.total_cmp(&other.1));
    all
}

/// The order of the rows is that of the ends, as in the real trace.
pub(crate) fn azure2021(functions: &[Function], size: Size, folder: &Path) -> io::Result<()> {
    let mut calls = calls(functions, size);
    calls.sort_by(|one, other| (one.1 + one.2).total_cmp(&(other.1 + other.2)));
    let mut file = BufWriter::new(File::create(folder.join("invocations.csv"))?);
    writeln!(file, "app,func,end_timestamp,duration")?;
    for (number, at, seconds) in calls {
        let Function { app, name, .. } = &functions[number];
        writeln!(file, "{app},{name},{:.6},{seconds:.3}", at + seconds)?;
    }
    file.flush()
}

/// Half of the rows have no numbers of the frontend, as in the real trace.
pub(crate) fn huawei2025(functions: &[Function], size: Size, folder: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(folder.join("requests.csv"))?);
    writeln!(
        file,
        "time_worker,time_frontend,requestID,clusterName,funcName,podID,userID,totalCost_worker,\
         workerCost,runtimeCost,totalCost_frontend,frontendCost,busCost,readBodyCost,writeRspCost,\
         cpu_usage,memory_usage,requestBodySize"
    )?;
    for (request, (number, at, seconds)) in calls(functions, size).into_iter().enumerate() {
        let (app, cpu, memory) =
            (number / 3, 0.05 + 0.01 * number as f64, functions[number].memory_mb);
        let total = seconds + 0.002;
        let name = format!("{number}---{app}---pool22-300-128");
        write!(file, "{at:.6},")?;
        match request % 2 {
            0 => write!(file, "{:.6}", at - 0.001)?,
            _ => write!(file, "")?,
        }
        write!(
            file,
            ",{request},0,{name},{name}-{},{app},{total:.6},0.002,{seconds:.6}",
            request % 3
        )?;
        match request % 2 {
            0 => write!(file, ",{:.6},0.001,0.001,0.0001,0.0001", total + 0.002)?,
            _ => write!(file, ",,,,,")?,
        }
        writeln!(file, ",{cpu:.3},{memory},{}", 100 + 37 * (request % 50))?;
    }
    file.flush()
}

/// The calls that no instance was ready for: the first one in ten minutes.
pub(crate) fn faasnet(functions: &[Function], size: Size, folder: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(folder.join("cold_starts.csv"))?);
    writeln!(file, "__time__,functionName,latency,runtime,memoryMB")?;
    let mut last = vec![f64::NEG_INFINITY; functions.len()];
    for (number, at, _) in calls(functions, size) {
        if at - last[number] > 600.0 {
            let runtime = ["python3", "nodejs8", "custom-container", "java8"][number % 4];
            let latency = 0.3 + 0.2 * (number % 5) as f64;
            let memory = 128 << (number % 4);
            let name = &functions[number].name[..12];
            writeln!(file, "{},{name},{latency:.3},{runtime},{memory}", 1_620_000_000 + at as u64)?;
        }
        last[number] = at;
    }
    file.flush()
}

/// What a worker records of calls that wait for nothing.
pub(crate) fn record(functions: &[Function], size: Size, folder: &Path) -> io::Result<()> {
    /// Midnight of 2026-01-01 UTC.
    const BEGIN_NS: u64 = 1_767_225_600_000_000_000;
    let mut file = BufWriter::new(File::create(folder.join("calls.csv"))?);
    writeln!(
        file,
        "arrival_unix_ns,worker,function,image,instance,call,cold,queue_ns,cold_start_ns,\
         predicted_ns,planned_ns,run_ns,lateness_ns,cpu_cores,ram_bytes,request_bytes,\
         function_instances,active_calls,worker_cpu_cores,worker_ram_bytes,outcome,reason"
    )?;
    let mut made = vec![0; functions.len()];
    for (number, at, seconds) in calls(functions, size) {
        let (at, run) = (BEGIN_NS + (at * 1e9) as u64, (seconds * 1e9) as u64);
        let call = made[number];
        made[number] += 1;
        writeln!(
            file,
            "{at},localhost:50051,f{number},sample-{number},{number:012x},{call},{},0,0,{run},{run},\
             {run},0,0.5,8000000,0,1,0,0,0,OK,",
            call == 0
        )?;
    }
    file.flush()
}
