//! `hyperfake function`, against an etcd and the registry of 2025.

use super::*;

#[test]
fn the_command_line_does_what_the_platforms_does() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for etcd in runtime.block_on(Etcd::every()) {
        let run = |line: &str| {
            let mut command = hyperfake();
            command.arg("function").args(line.split(' ')).args(["--etcd-endpoint", etcd.address()]);
            let output = command.output().unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
            match output.status.success() {
                true => Ok(text(&output.stdout)),
                false => Err(text(&output.stderr)),
            }
        };
        assert_eq!(run("list").unwrap(), "there are no functions");
        let created = run("create hyperfaas-hello --memory 1GiB --max-concurrency 7").unwrap();
        let id = created.strip_prefix("created the function ").unwrap();
        assert_eq!(id.len(), 36);
        let stored = || {
            let store = runtime.block_on(async { store(etcd.address()).get(id).await });
            store.unwrap().unwrap().json()
        };
        assert_eq!(
            stored(),
            r#"{"image":{"tag":"hyperfaas-hello"},"config":{"memory":"1073741824","cpu":{"period":"100000","quota":"50000"},"timeout":30,"maxConcurrency":7}}"#
        );
        let update =
            format!("update {id} --image-tag b:1 --function-timeout 2m --cpu-quota 100000");
        assert_eq!(run(&update).unwrap(), format!("updated the function {id}"));
        assert_eq!(
            stored(),
            r#"{"image":{"tag":"b:1"},"config":{"memory":"1073741824","cpu":{"period":"100000","quota":"100000"},"timeout":120,"maxConcurrency":7}}"#
        );
        let listed = run("list").unwrap();
        for shown in [id, "b:1", "1.00 cores", "120 s"] {
            assert!(listed.contains(shown), "{listed}");
        }
        assert_eq!(run(&format!("delete {id}")).unwrap(), format!("deleted the function {id}"));
        for (line, expected) in [
            (format!("delete {id}"), "there is no function with the id"),
            (format!("update {id} --memory 1MiB"), "there is no function with the id"),
            (
                "create a --function-timeout 1500ms".into(),
                "--function-timeout: found 1.5s, expected whole",
            ),
            ("create a --cpu-quota 0".into(), "--cpu-quota"),
            ("create a --memory 0".into(), "--memory: found 0"),
            ("list --metadata-prefix /".into(), "--metadata-prefix: found '/'"),
            ("list --database-address http://localhost:1".into(), "can only create functions"),
        ] {
            let error = run(&line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}

#[test]
fn the_command_line_creates_functions_in_the_registry_of_2025() {
    let served = Served::start("--runtime instant");
    let mut command = hyperfake();
    command.args([
        "function",
        "create",
        "hyperfaas-echo",
        "--json",
        "--database-address",
        &served.database,
    ]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let created: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(created["function_id"].as_str().unwrap().len(), 36);
}
