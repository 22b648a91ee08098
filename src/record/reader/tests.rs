use proptest::prelude::*;

use super::*;
use crate::record::{Destination, RowFile};

fn read_all(path: &Path) -> Result<Vec<Row<'static>>> {
    let mut reader = RowReader::open(path)?;
    let mut rows = Vec::new();
    while let Some(row) = reader.read()? {
        rows.push(row.into_owned());
    }
    Ok(rows)
}

/// Text with everything that a file could take for its own.
fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![',', '"', '\'', '\n', '\r', '\\', '{', ' ', '\0', ';']);
    prop::collection::vec(prop_oneof![special, any::<char>()], 0..12)
        .prop_map(|characters| characters.into_iter().collect())
}

fn number() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(prop_oneof![0..1000_u64, any::<u64>()])
}

fn cores() -> impl Strategy<Value = Option<f64>> {
    // Numbers that have few binary digits, which JSON's fast way reads exactly.
    prop::option::of((0..100_000_u32).prop_map(|number| f64::from(number) / 64.0))
}

fn row() -> impl Strategy<Value = Row<'static>> {
    let texts = (text(), text(), text(), prop::option::of(text()), text(), text());
    let numbers = prop::collection::vec(number(), 11);
    let others = (any::<u64>(), any::<Option<bool>>(), any::<Option<i64>>(), cores(), cores());
    (texts, numbers, others).prop_map(|(texts, numbers, others)| {
        let (worker, function, image, instance, outcome, reason) = texts;
        let (arrival_unix_ns, cold, predicted_ns, cpu_cores, worker_cpu_cores) = others;
        Row {
            arrival_unix_ns,
            worker: worker.into(),
            function: function.into(),
            image: image.into(),
            // In CSV, a text that is empty is one that is not there.
            instance: instance.filter(|text| !text.is_empty()).map(Into::into),
            call: numbers[0],
            cold,
            queue_ns: numbers[1],
            cold_start_ns: numbers[2],
            predicted_ns,
            planned_ns: numbers[3],
            run_ns: numbers[4],
            lateness_ns: numbers[5],
            cpu_cores,
            ram_bytes: numbers[6],
            request_bytes: numbers[7],
            function_instances: numbers[8],
            active_calls: numbers[9],
            worker_cpu_cores,
            worker_ram_bytes: numbers[10],
            outcome: outcome.into(),
            reason: reason.into(),
        }
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read_whatever_it_is(rows in prop::collection::vec(row(), 0..20)) {
        for name in ["record.csv", "record.jsonl"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            let destination = Destination::new(&path, Format::Own).unwrap();
            // In two parts, of which the second continues the file of the first.
            for part in rows.chunks(rows.len().div_ceil(2).max(1)) {
                let mut file = RowFile::open(destination.clone()).unwrap();
                file.append(part.iter().cloned()).unwrap();
                file.close().unwrap();
            }
            if path.exists() {
                prop_assert_eq!(&read_all(&path).unwrap(), &rows);
            }
        }
    }
}

fn error(name: &str, content: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let error = read_all(&path).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    let (_, error) = error.split_once(&format!("{name}: ")).unwrap();
    error.to_owned()
}

#[test]
fn what_is_wrong_is_named_by_file_row_and_column() {
    let header = lines::columns().join(",");
    let with = |column: &str, value: &str| {
        let fields = lines::columns().into_iter().map(|name| match &*name {
            name if name == column => value.to_owned(),
            "arrival_unix_ns" => "5".to_owned(),
            _ => String::new(),
        });
        fields.collect::<Vec<_>>().join(",")
    };
    let good = with("outcome", "OK");
    let whole = "expected a whole number";
    for (column, value, expected) in [
        ("arrival_unix_ns", "x", &*format!("found 'x', {whole}")),
        ("arrival_unix_ns", "", &format!("found nothing, {whole}")),
        ("run_ns", "-3", &format!("found '-3', {whole}")),
        ("cold", "yes", "found 'yes', expected true or false"),
        ("cpu_cores", "0x", "found '0x', expected a number"),
    ] {
        let bad = with(column, value);
        let error = error("a.csv", format!("{header}\n{good}\n{bad}\n").as_bytes());
        assert_eq!(error, format!("row 2 (line 3), column {column}: {expected}"));
    }
    let short = error("a.csv", format!("{header}\n{good}\n5,w,f\n").as_bytes());
    assert_eq!(short, "row 2 (line 3): found 3 fields, expected 22");
    let latin = with("worker", "?").replace('?', "\u{1}").into_bytes();
    let latin = latin.into_iter().map(|byte| if byte == 1 { 0xfc } else { byte });
    let latin = format!("{header}\n").into_bytes().into_iter().chain(latin).collect::<Vec<_>>();
    let found = error("a.csv", &latin);
    assert_eq!(found, "row 1 (line 2), column worker: found bytes that are no text in UTF-8");
    let row = r#"{"arrival_unix_ns":1,"worker":"w","function":"f","image":"i","outcome":"OK","reason":""}"#;
    for (bad, expected) in [
        (
            row.replace(":1,", ":\"1\","),
            "row 3, column arrival_unix_ns: invalid type: string \"1\", expected u64",
        ),
        (row.replace("\"worker\":\"w\",", ""), "row 3: missing field `worker`"),
        (format!("{row}{row}"), "row 3: found something after the JSON object"),
        ("{".into(), "row 3: EOF while parsing an object"),
        ("no".into(), "row 3: expected ident"),
        ("x".repeat(2 << 20), "row 3: found a line of more than 1048576 bytes"),
    ] {
        let error = error("a.jsonl", format!("{row}\n\n{row}\n{bad}").as_bytes());
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn what_is_no_record_is_refused() {
    let lacks = "the first line lacks the column";
    assert!(error("a.csv", b"").starts_with(lacks));
    assert!(error("a.csv", b"app,func,end_timestamp,duration\n").starts_with(lacks));
    assert!(error("a.csv", &[0xff; 100]).contains("no text in UTF-8"));
    assert!(error("a.txt", b"").contains("ends in .csv or .jsonl"));
    assert!(error("a.parquet", b"").contains("records in Parquet are not read here"));
    let missing = RowReader::open("there/is/none.csv").unwrap_err().to_string();
    assert_eq!(missing, "there/is/none.csv: there is no such file");
    let folder = tempfile::tempdir().unwrap();
    let named_like_a_file = folder.path().join("a.csv");
    std::fs::create_dir(&named_like_a_file).unwrap();
    assert!(read_all(&named_like_a_file).is_err());
}

#[test]
fn columns_may_be_in_another_order_and_there_may_be_more() {
    let header = lines::columns().join(",");
    let content = format!(
        "more,outcome,{}\n1,OK,5,w,f,i{}\n",
        header.replace(",outcome", ""),
        ",".repeat(17)
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    std::fs::write(&path, content).unwrap();
    let rows = read_all(&path).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((&*rows[0].function, rows[0].arrival_unix_ns), ("f", 5));
    assert!(rows[0].succeeded());
}
