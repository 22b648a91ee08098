//! A worker inside a test of your own: it serves on a free port, is called over gRPC as a leaf calls
//! it, and stops.
//!
//! ```console
//! $ cargo run --example embedded_worker
//! ```

use std::{error::Error, future::pending, path::Path, time::Duration};

use hyperfake_proto::controller::{
    common::{CallRequest, FunctionId, InstanceId},
    controller_client::ControllerClient,
};
use hyperfake_worker::{
    app::App,
    args::{Cli, Command},
    config::Config,
    functions::http::HttpStore,
    machine::Machine,
};
use tonic::transport::Endpoint;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/hyperfaas-echo.onnx");
    // The options of `hyperfake server`; port 0 is any free one.
    let options = format!(
        "hyperfake server --address 127.0.0.1:0 --database-type embedded \
         --database-address http://127.0.0.1:0 --runtime instant --response echo -m {}",
        model.display()
    );
    let Command::Server(options) = Cli::read(options.split(' ').map(Into::into))?.command else {
        return Err("the command is 'server'".into());
    };
    let app = App::start(Config::new(*options, &Machine::detect())?).await?;

    // What HyperFaaS does: a function is registered, a leaf starts an instance and calls it.
    let function = HttpStore::new(app.registry_url().clone())?.register("hyperfaas-echo").await?;
    let channel = Endpoint::try_from(format!("http://{}", app.address()))?.connect().await?;
    let mut leaf = ControllerClient::new(channel);
    let started = leaf.start(FunctionId { id: function.clone() }).await?.into_inner();
    println!("instance {} is ready", started.instance_name);
    let request = CallRequest {
        request_id: 1,
        data: "hello".into(),
        function_id: Some(FunctionId { id: function }),
        instance_id: started.instance_id.clone(),
    };
    let response = leaf.call(request).await?;
    assert_eq!(&*response.get_ref().data, b"hello");
    let run_time = response.metadata().get("functionprocessingtime").ok_or("no run time")?;
    println!("a call was predicted to run for {} ns", run_time.to_str()?);
    let instance = started.instance_id.unwrap_or_else(InstanceId::default);
    leaf.stop(instance).await?;
    drop(leaf);

    let lateness = app.shut_down(pending()).await;
    println!("sleeps ended at most {:?} late", lateness.max());
    assert!(lateness.max() < Duration::from_secs(60));
    Ok(())
}
