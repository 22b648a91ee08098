//! What may be changed over HTTP, and by whom.

use super::*;

#[tokio::test]
async fn a_worker_without_admin_changes_nothing_over_http() {
    let model = constant(Duration::ZERO);
    let (worker, function, instance) = TestWorker::with_instance(&model, HTTP).await;
    let page = Page::of(&worker);
    for path in [
        format!("/api/v1/instances/{instance}/kill"),
        "/api/v1/workers/0/drain".into(),
        "/api/v1/scenario".into(),
    ] {
        let (status, answer) = page.change(Method::POST, &path, "{}").await;
        assert_eq!(status, 403, "{path}");
        assert!(answer["error"].as_str().unwrap().contains("--admin"), "{answer}");
    }
    worker.call(&function, b"").await.unwrap();
    assert_eq!(page.json("/api/v1/state").await["marks"], json!([]));
}

#[tokio::test]
async fn an_instance_is_killed_and_a_worker_drained_over_http() {
    let model = constant(Duration::ZERO);
    let (worker, function, instance) = TestWorker::with_instance(&model, ADMIN).await;
    let page = Page::of(&worker);
    let kill = format!("/api/v1/instances/{instance}/kill");
    let (status, answer) = page.change(Method::POST, &kill, "").await;
    assert_eq!((status.as_u16(), answer), (200, json!({"id": instance})));
    let (status, answer) = page.change(Method::POST, &kill, "").await;
    assert_eq!(status, 404, "{answer}");
    worker.call(&function, b"").await.unwrap_err();
    worker.start_instance(&function).await.unwrap();
    worker.call(&function, b"").await.unwrap();
    page_with(&worker, &["hyperfake_instance_stops_total{reason=\"killed\"} 1".into()]).await;

    assert_eq!(page.get("/readyz").await.status(), 200);
    assert_eq!(page.change(Method::POST, "/api/v1/workers/1/drain", "").await.0, 404);
    assert_eq!(page.change(Method::POST, "/api/v1/workers/0/drain", "").await.0, 200);
    assert_eq!(page.get("/readyz").await.status(), 503);
    worker.call(&function, b"").await.unwrap_err();
    let two = |state: &Value| state["marks"].as_array().is_some_and(|marks| marks.len() == 2);
    let state = page.until("/api/v1/state", two).await;
    let text = state["marks"][0]["text"].as_str().unwrap();
    assert_eq!(text, format!("killed the instance {instance}"));
}

#[tokio::test]
async fn a_scenario_is_checked_and_replaced_and_its_fault_switched_over_http() {
    let model = constant(Duration::ZERO);
    let (worker, function, _) = TestWorker::with_instance(&model, ADMIN).await;
    let page = Page::of(&worker);
    assert_eq!(page.json("/api/v1/scenario").await, json!({"name": "plain", "text": null}));
    let check = "/api/v1/scenario/check";
    let wrong = "version: 1\nfaults:\n  - nam: x\n";
    let (status, answer) = page.change(Method::POST, check, wrong).await;
    assert_eq!(status, 422);
    assert_eq!((&answer["line"], answer["column"].is_u64()), (&json!(3), true), "{answer}");
    let (status, _) = page.change(Method::POST, "/api/v1/scenario", "\u{0}").await;
    assert_eq!(status, 422);
    let (status, answer) = page.change(Method::POST, check, FAULT).await;
    assert_eq!((status.as_u16(), &answer["ok"]), (200, &json!(true)), "{answer}");
    assert_eq!(page.json("/api/v1/faults").await["faults"], json!([]), "a check changes nothing");

    let (status, answer) = page.change(Method::POST, "/api/v1/scenario", FAULT).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(page.json("/api/v1/scenario").await, json!({"name": "edited", "text": FAULT}));
    worker.call(&function, b"").await.unwrap();
    let faults = page.json("/api/v1/faults").await;
    let expected = json!([{"name": "broken", "on": false, "fired": 0, "what": "status"}]);
    assert_eq!(faults["faults"], expected);

    let switch = "/api/v1/faults/broken";
    for body in ["", "{}", "{\"on\": 1}", "{\"on\": true, \"x\": 1}", "[true]"] {
        assert_eq!(page.change(Method::PATCH, switch, body).await.0, 400, "{body}");
    }
    let (status, answer) = page.change(Method::PATCH, "/api/v1/faults/none", "{\"on\":true}").await;
    assert_eq!(status, 404);
    assert!(answer["error"].as_str().unwrap().ends_with("expected one of broken"), "{answer}");
    let (status, _) = page.change(Method::PATCH, switch, "{\"on\": true}").await;
    assert_eq!(status, 200);
    assert_eq!(worker.call(&function, b"").await.unwrap_err().code(), tonic::Code::Internal);
    page_with(
        &worker,
        &[
            format!("hyperfake_calls_total{{function=\"{function}\",outcome=\"fault\"}} 1"),
            "hyperfake_faults_total{fault=\"broken\"} 1".into(),
        ],
    )
    .await;
    let calls = page.json("/api/v1/calls").await;
    assert_eq!(calls["failed"][0]["fault"], "broken");
    page.change(Method::PATCH, switch, "{\"on\": false}").await;
    worker.call(&function, b"").await.unwrap();
    let marks = page.until("/api/v1/state", |state| state["marks"][2].is_object()).await;
    let texts: Vec<_> = (0..3).map(|mark| marks["marks"][mark]["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["another scenario", "fault broken on", "fault broken off"]);
}
