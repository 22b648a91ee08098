//! What a leaf does, from creating a function to starting it anew.

use hyperfake_proto::controller::{Event, Status};

use crate::support::{TestWorker, constant};

#[tokio::test]
async fn a_leaf_finds_what_it_relies_on() {
    let echo = constant(std::time::Duration::from_millis(2));
    let echo = echo.replace('{', r#"{"response": "echo", "#);
    let options = "--runtime docker --cold-start 30ms --idle-timeout 2s";
    let worker = TestWorker::start(&[("hyperfaas-echo", &echo)], options).await;

    // A function is created: the leaf posts it to the key-value store.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let function = r#"{"image_tag": "hyperfaas-echo:latest", "config": {"mem_limit": 134217728,
        "cpu_quota": 50000, "cpu_period": 100000, "timeout": 10, "max_concurrency": 500}}"#;
    let created = client.post(&worker.database).body(function).send().await.unwrap();
    assert_eq!(created.status(), 201);
    let created: serde_json::Value = serde_json::from_str(&created.text().await.unwrap()).unwrap();
    let function = created["function_id"].as_str().unwrap();

    // It keeps a Status stream open, starts the function, and calls it with the function's id
    // in both fields.
    let mut status = worker.listen("leaf-1").await;
    let instance = worker.start_instance(function).await.unwrap();
    assert_eq!(instance.len(), 12);
    for number in 0..20u8 {
        let answer = worker.call(function, &[number]).await.unwrap();
        assert_eq!(answer.response.data[..], [number]);
        assert_eq!(answer.response.instance_id.unwrap().id, instance);
        for key in ["gotresponsetimestamp", "callqueuedtimestamp", "functionprocessingtime"] {
            answer.metadata.get(key).unwrap().to_str().unwrap().parse::<u64>().unwrap();
        }
    }

    // The instance grows idle, and the leaf hears of it.
    let mut events = Vec::new();
    let timeout = loop {
        let update = status.message().await.unwrap().unwrap();
        events.push(update.event());
        if update.event() == Event::Timeout {
            break update;
        }
    };
    assert_eq!(timeout.function_id.unwrap().id, function);
    assert_eq!(timeout.instance_id.unwrap().id, instance);
    assert_eq!(timeout.status, i32::from(Status::Success));
    assert!(timeout.timestamp.unwrap().seconds > 1_577_836_800);
    assert_eq!(events[..2], [Event::Start, Event::Running]);
    assert_eq!(events.iter().filter(|event| **event == Event::Call).count(), 20);
    assert_eq!(events.iter().filter(|event| **event == Event::Response).count(), 20);

    // The next Start works.
    let next = worker.start_instance(function).await.unwrap();
    assert_ne!(next, instance);
    worker.call(function, b"again").await.unwrap();
}
