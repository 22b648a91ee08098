//! One worker, and a model of every kind.

use std::path::Path;

use hyperfake_plugin_fixtures as fixtures;
use hyperfake_predictor_testkit::reference::Network;
use tonic::Code;

use crate::support::{TestWorker, constant, repository, request};

fn option(uri: &Path, scheme: &str, image: &str) -> String {
    format!("-m {scheme}{} {image} ", uri.display())
}

#[tokio::test]
async fn a_worker_with_a_model_of_every_kind_answers_mixed_calls_without_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::sample(&[16, 16], 1);
    let onnx = folder.path().join("network.onnx");
    std::fs::write(&onnx, network.to_onnx().to_bytes()).unwrap();
    let tensors = folder.path().join("network.safetensors");
    std::fs::write(&tensors, network.to_safetensors()).unwrap();
    let plugin = fixtures::c(&repository("plugins/examples/queueing/queueing.c"));
    let mut options = "--max-runtime 1us --max-rpcs 0 ".to_owned();
    options += &option(&onnx, "dense:", "dense");
    options += &option(&onnx, "tract:", "tract");
    options += &option(&repository("predictors/tract/tests/models/forest.onnx"), "", "trees");
    options += &option(&tensors, "", "candle");
    options += &option(plugin.path(), "", "plugin");
    let zero = constant(std::time::Duration::ZERO);
    let worker = TestWorker::start(&[("json", &zero)], &options).await;

    let images = ["json", "dense", "tract", "trees", "candle", "plugin"];
    let mut functions = Vec::new();
    for image in images {
        let function = worker.register(image).await;
        worker.start_instance(&function).await.unwrap();
        functions.push(function);
    }
    let callers: Vec<_> = (0..20)
        .map(|caller| {
            let (client, functions) = (worker.client.clone(), functions.clone());
            tokio::spawn(async move {
                for call in 0..1000 {
                    let function = &functions[(caller + call) % functions.len()];
                    let request = request(function, function, b"12345");
                    crate::support::call(client.clone(), request).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    worker.is_idle().await;
    let models = worker.worker().catalog().models();
    let mut backends: Vec<_> = models.iter().map(|model| model.predictor.info().backend).collect();
    backends.sort_unstable();
    assert_eq!(backends, ["candle", "dense", "json", "plugin", "tract", "trees"]);
}

#[tokio::test]
async fn a_plugin_that_panics_ends_its_own_calls_and_nothing_else() {
    // It panics when a call finds others active.
    let plugin = fixtures::panicking("panic_in_predict");
    let options = format!("-m {} plugin --feature-scope worker", plugin.path().display());
    let slow = constant(std::time::Duration::from_secs(3));
    let worker = TestWorker::start(&[("slow", &slow)], &options).await;
    let (slow, plugin) = (worker.register("slow").await, worker.register("plugin").await);
    worker.start_instance(&slow).await.unwrap();
    worker.start_instance(&plugin).await.unwrap();
    worker.call(&plugin, b"").await.unwrap();
    let other =
        tokio::spawn(crate::support::call(worker.client.clone(), request(&slow, &slow, b"")));
    crate::support::eventually("a call runs", || worker.worker().usage().ram_bytes > 0).await;
    let status = worker.call(&plugin, b"").await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    // The plugin's own text and its file are for the log.
    assert_eq!(status.message(), "plugin: the model failed; the worker's log has the reason");
    // The other call goes on, and the plugin stays in quarantine.
    other.await.unwrap().unwrap();
    let status = worker.call(&plugin, b"").await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    worker.is_idle().await;
}
