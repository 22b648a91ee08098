use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::record::{Destination, Format, OK, RowFile};

fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn read(content: &[u8]) -> Result<(Calls, Vec<Row<'static>>)> {
    let (_folder, path) = file("calls.txt", content);
    let mut calls = open(&path)?;
    let mut rows = Vec::new();
    while let Some(row) = calls.read()? {
        rows.push(row);
    }
    Ok((calls, rows))
}

fn refusal(content: &[u8]) -> String {
    let error = read(content).unwrap_err().to_string();
    error.split_once("calls.txt: ").unwrap().1.to_owned()
}

#[test]
fn azure_2021_is_in_seconds_and_says_when_calls_ended() {
    let content = b"app,func,end_timestamp,duration\na,f,10.5,0.25\nb,f,0.1,5\na,g,3,0\n";
    let (calls, rows) = read(content).unwrap();
    assert_eq!(calls.format(), CallFormat::Azure2021);
    let of = |row: &Row<'_>| (row.function.to_string(), row.arrival_unix_ns, row.run_ns);
    assert_eq!(of(&rows[0]), ("a/f".to_owned(), 10_250_000_000, Some(250_000_000)));
    assert_eq!(of(&rows[1]), ("b/f".to_owned(), 0, Some(5_000_000_000)));
    assert_eq!(calls.notes().len(), 2);
    assert!(rows.iter().all(Row::succeeded));
}

#[test]
fn huawei_2025_is_in_cores_and_megabytes_and_lacks_what_is_nan() {
    let content = b"time_worker,time_frontend,requestID,clusterName,funcName,podID,userID,\
        totalCost_worker,workerCost,runtimeCost,cpu_usage,memory_usage,requestBodySize\n\
        2600186.994,,x,2,296,pool22-300-128-0000618412,224,0.02,0.01,0.023637,0.291506,32.5,1018\n\
        2600187,,y,2,296,pool22-300-128-0000618412,224,0.02,0.01,0.5,NaN,,\n";
    let (calls, rows) = read(content).unwrap();
    assert_eq!(calls.format(), CallFormat::Huawei2025);
    let row = &rows[0];
    assert_eq!(row.function, "296---224---pool22-300-128");
    assert_eq!(row.instance.as_deref(), Some("pool22-300-128-0000618412"));
    assert_eq!((row.arrival_unix_ns, row.run_ns), (2_600_186_994_000_000, Some(23_637_000)));
    assert_eq!((row.cpu_cores, row.ram_bytes), (Some(0.291506), Some(32_500_000)));
    assert_eq!((row.request_bytes, &*row.worker), (Some(1018), "2"));
    assert_eq!((rows[1].cpu_cores, rows[1].ram_bytes, rows[1].request_bytes), (None, None, None));
}

#[test]
fn hyperfaas_training_data_is_in_per_cent_and_its_features_are_worked_out_again() {
    let content = "id,request_id,image_tag,timestamp,status,request_size_bytes,\
        function_instances_count,active_function_calls_count,worker_cpu_usage,worker_ram_usage,\
        function_processing_time_ns,function_cpu_usage,function_ram_usage\n\
        1,r,echo:latest,1750000000000000000,OK,640,3,7,12.5,9000000,2000000,47.5,8000000\n\
        2,s,echo:latest,1750000000000000001,Unavailable,640,3,7,12.5,9000000,2000000,0.0,0\n";
    let (calls, rows) = read(content.as_bytes()).unwrap();
    assert_eq!(calls.format(), CallFormat::HyperFaas);
    let row = &rows[0];
    assert_eq!((row.cpu_cores, row.ram_bytes), (Some(0.475), Some(8_000_000)));
    assert_eq!((row.function_instances, row.active_calls), (Some(3), None));
    assert!(row.succeeded() && !rows[1].succeeded());
    assert_eq!((rows[1].cpu_cores, rows[1].ram_bytes), (None, None));
    assert!(calls.notes()[1].starts_with("1 calls have neither CPU nor memory"));
    // The older names, and no time.
    let content = "request_body_size,function_instances_count,active_function_calls_count,\
        worker_cpu_usage,worker_ram_usage,function_runtime,function_cpu_usage,function_ram_usage,\
        function_image_tag\n640,3,7,50,9000000,2000000,10,8000000,echo\n";
    let (_, rows) = read(content.as_bytes()).unwrap();
    assert_eq!((rows[0].active_calls, rows[0].worker_cpu_cores), (Some(7), Some(0.5)));
}

#[test]
fn a_record_of_ours_is_read_back_compressed_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let row = Row { arrival_unix_ns: 5, run_ns: Some(7), outcome: OK.into(), ..Row::default() };
    for name in ["a.csv", "a.jsonl"] {
        let path = folder.path().join(name);
        let destination = Destination::new(&path, Format::Own).unwrap();
        let mut record = RowFile::open(destination).unwrap();
        record.append([row.clone()].into_iter()).unwrap();
        record.close().unwrap();
        let content = std::fs::read(&path).unwrap();
        let plain = read(&content).unwrap();
        let compressed = read(&gzip(&content)).unwrap();
        assert_eq!(plain.1, std::slice::from_ref(&row));
        assert_eq!(compressed.1, std::slice::from_ref(&row));
        assert_ne!(plain.0.sha256(), compressed.0.sha256());
        assert_eq!(plain.0.sha256().len(), 64);
    }
}

#[test]
fn what_is_wrong_is_named_with_row_and_column() {
    let azure = |row: &str| format!("app,func,end_timestamp,duration\na,f,1,1\n{row}\n");
    for (row, expected) in [
        ("a,f,-1,1", "row 2 (line 3), column end_timestamp: found '-1', expected a number of 0"),
        ("a,f,1,x", "row 2 (line 3), column duration: found 'x', expected a number of 0 or more"),
        ("a,f,1,", "row 2 (line 3), column duration: found nothing, expected a number of seconds"),
        ("a,f,1", "row 2 (line 3): found 3 fields, expected 4"),
    ] {
        let refusal = refusal(azure(row).as_bytes());
        assert!(refusal.starts_with(expected), "{refusal}");
    }
    let unknown = refusal(b"HashOwner,HashApp,HashFunction,Trigger,1,2\n");
    assert!(unknown.contains("'HashOwner,HashApp") && unknown.contains("replay"), "{unknown}");
    assert!(refusal(b"").contains("expected the columns of"));
    let lacks = refusal(b"active_function_calls_count\n");
    assert_eq!(lacks, "the first line lacks the column 'image_tag' or 'function_image_tag'");
    // Cut short, as by a full disk.
    let whole = gzip(azure(&"a,f,2,1\n".repeat(10_000)).as_bytes());
    let cut = refusal(&whole[..whole.len() / 2]);
    assert!(cut.contains("cannot read the file"), "{cut}");
    let missing = open("there/is/none.csv").unwrap_err().to_string();
    assert_eq!(missing, "there/is/none.csv: there is no such file");
}
