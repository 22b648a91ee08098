//! Functions in etcd: our own and a real one do the same, for our clients and for etcd's.

mod command_line;
mod script;
mod server;

use std::{process::Command, time::Duration};

use hyperfake_proto::{
    controller::common::FunctionId,
    etcd::{
        DeleteRangeRequest, PutRequest, WatchCreateRequest, WatchRequest, kv_client::KvClient,
        watch_client::WatchClient, watch_request::RequestUnion,
    },
    worker::{Event, worker_client::WorkerClient},
};
use hyperfake_worker::{
    app::App,
    functions::{
        Deletion, FunctionStore,
        etcd::{EtcdConfig, EtcdStore, PREFIX},
        metadata::{Image, Metadata},
    },
};
use tokio_stream::StreamExt;
use tonic::{Code, transport::Channel};

use self::server::{Etcd, program};
use crate::{
    program::{Served, hyperfake},
    support::{TestWorker, channel_to, config, connect, constant, deaf_port},
    today::{Leaf, until},
};

async fn channel(etcd: &Etcd) -> Channel {
    channel_to(etcd.address().parse().unwrap()).await
}

fn store(address: &str) -> EtcdStore {
    let (endpoints, prefix) = (vec![address.to_owned()], PREFIX.to_owned());
    EtcdStore::new(&EtcdConfig { endpoints, prefix, timeout: Duration::from_secs(5) }).unwrap()
}

fn function(image: &str) -> Metadata {
    let image = Image { tag: image.into(), ..Image::default() };
    Metadata { image: Some(image), ..Metadata::default() }
}

#[tokio::test]
async fn our_own_etcd_answers_random_requests_as_a_real_one_does() {
    let Some(real) = Etcd::real().await else { return };
    let own = Etcd::own().await;
    for seed in 0..20 {
        let expected = script::run(channel(&real).await, seed).await;
        let found = script::run(channel(&own).await, seed).await;
        assert!(expected.len() > 100);
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(found, expected, "seed {seed}");
        }
        assert_eq!(found.len(), expected.len(), "seed {seed}");
    }
}

#[tokio::test]
async fn functions_are_created_listed_changed_and_deleted_in_every_etcd() {
    for etcd in Etcd::every().await {
        let store = store(etcd.address());
        assert!(store.answers().await);
        assert!(store.list().await.unwrap().is_empty());
        store.put("one", &function("hyperfaas-echo:latest")).await.unwrap();
        let spec = store.lookup("one").await.unwrap().unwrap();
        assert_eq!(spec.image, "hyperfaas-echo:latest");
        assert_eq!(store.lookup("on").await.unwrap(), None);

        // What others store is read as well, and what is no function is an error.
        let mut other = KvClient::new(channel(&etcd).await);
        let mut put = async |id: &str, json: &'static str| {
            let key = format!("{PREFIX}/{id}").into();
            let request = PutRequest { key, value: json.into(), ..PutRequest::default() };
            other.put(request).await.unwrap();
        };
        put("two", r#"{"image": {"tag": "a"}, "config": {"max_concurrency": 7, "new": 1}}"#).await;
        put("bad", "not json").await;
        put("../functions2/x", r#"{"image":{"tag":"neighbour"}}"#).await;
        let spec = store.lookup("two").await.unwrap().unwrap();
        assert_eq!((spec.image.as_str(), spec.max_concurrency), ("a", Some(7)));
        let error = store.lookup("bad").await.unwrap_err().to_string();
        assert!(error.contains("'bad', something that is none"), "{error}");
        assert!(error.contains(etcd.address()), "{error}");
        let listed = store.list().await.unwrap();
        let listed: Vec<_> = listed.iter().map(|(id, found)| (&**id, found.is_ok())).collect();
        let expected = [("../functions2/x", true), ("bad", false), ("one", true), ("two", true)];
        assert_eq!(listed, expected);

        assert!(store.delete("one").await.unwrap());
        assert!(!store.delete("one").await.unwrap());
        assert_eq!(store.lookup("one").await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_worker_hears_of_every_deletion_in_every_etcd() {
    for etcd in Etcd::every().await {
        let store = store(etcd.address());
        for id in ["a", "b", "c"] {
            store.put(id, &function("image")).await.unwrap();
        }
        let mut deletions = store.deletions();
        // The watch has begun when it tells of a deletion that came after it.
        let (probes, seen) = (store.clone(), async {
            let first = deletions.recv().await.unwrap();
            assert_eq!(first, Deletion::Function("probe".into()));
        });
        let probing = async {
            loop {
                probes.put("probe", &function("image")).await.unwrap();
                probes.delete("probe").await.unwrap();
            }
        };
        tokio::select! { () = seen => {}, () = probing => {} }
        store.put("a", &function("another")).await.unwrap();
        for id in ["a", "c", "b"] {
            assert!(store.delete(id).await.unwrap());
        }
        let mut heard = Vec::new();
        while heard.len() < 3 {
            match deletions.recv().await.unwrap() {
                Deletion::Function(id) if id == "probe" => {}
                Deletion::Function(id) => heard.push(id),
                Deletion::Missed => panic!("nothing was missed"),
            }
        }
        assert_eq!(heard, ["a", "c", "b"]);
    }
}

#[tokio::test]
async fn a_worker_starts_functions_of_an_etcd_outside() {
    for etcd in Etcd::every().await {
        let line = format!(
            "--address 127.0.0.1:0 --database-type etcd --etcd-endpoint {} --runtime instant \
             --models-dir {}",
            etcd.address(),
            crate::support::repository("models").display()
        );
        let app = App::start(config(&line)).await.unwrap();
        assert!(app.summary().contains(&format!("etcd is asked, at {}", etcd.address())));
        let store = store(etcd.address());
        store.put("f", &function("hyperfaas-echo:latest")).await.unwrap();
        store.put("unknown image", &function("nothing")).await.unwrap();
        let mut client = connect(&app).await;
        let mut start = async |id: &str| client.start(FunctionId { id: id.into() }).await;
        start("f").await.unwrap();
        assert_eq!(start("g").await.unwrap_err().code(), Code::NotFound);
        assert_eq!(start("unknown image").await.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test]
async fn instances_of_a_function_that_is_deleted_in_etcd_end() {
    for etcd in Etcd::every().await {
        let store = store(etcd.address());
        let line = format!(
            "--address 127.0.0.1:0 --database-type etcd --etcd-endpoint {} --runtime instant \
             --models-dir {}",
            etcd.address(),
            crate::support::repository("models").display()
        );
        let app = App::start(config(&line)).await.unwrap();
        let leaf = Leaf(WorkerClient::new(channel_to(app.address()).await));
        let mut events = leaf.listen("leaf").await;
        store.put("f", &function("hyperfaas-echo")).await.unwrap();
        let instance = leaf.start("f").await.unwrap();
        // The worker's watch may begin after the first deletion.
        let deleting = async {
            loop {
                store.delete("f").await.unwrap();
                store.put("f", &function("hyperfaas-echo")).await.unwrap();
            }
        };
        let timeout = tokio::select! {
            timeout = until(&mut events, Event::Timeout) => timeout,
            () = deleting => return,
        };
        assert_eq!((&*timeout.function_id, timeout.instance_id), ("f", instance.instance_id));
    }
}

#[tokio::test]
async fn an_etcd_that_is_down_makes_start_unavailable_and_the_next_member_is_asked() {
    let (_socket, port) = deaf_port();
    let own = Etcd::own().await;
    let line = |endpoints: &str| {
        format!(
            "--address 127.0.0.1:0 --database-type etcd {endpoints} --metadata-dial-timeout 300ms \
             --runtime instant --models-dir {}",
            crate::support::repository("models").display()
        )
    };
    let app =
        App::start(config(&line(&format!("--etcd-endpoint localhost:{port}")))).await.unwrap();
    let status = connect(&app).await.start(FunctionId { id: "f".into() }).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let both = format!("--etcd-endpoint 127.0.0.1:{port} --etcd-endpoint http://{}", own.address());
    let app = App::start(config(&line(&both))).await.unwrap();
    store(own.address()).put("f", &function("hyperfaas-echo")).await.unwrap();
    connect(&app).await.start(FunctionId { id: "f".into() }).await.unwrap();
}

#[tokio::test]
async fn the_registry_of_2025_and_our_etcd_show_the_same_functions() {
    let worker =
        TestWorker::start(&[("image", &constant(Duration::ZERO))], "--etcd-listen 127.0.0.1:0")
            .await;
    let store = store(worker.app.etcd_address().unwrap());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |id: &str| {
        let answer = client.get(&worker.database).body(id.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    // Posted in the form of 2025, seen in today's form, and as it was posted.
    let posted = r#"{"image_tag": "image",   "config": {"timeout": 5, "max_concurrency": 3}}"#;
    let answer = client.post(&worker.database).body(posted).send().await.unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let id = answer["function_id"].as_str().unwrap();
    assert_eq!(get(id).await, (200, posted.to_owned()));
    let seen = store.get(id).await.unwrap().unwrap();
    assert_eq!(
        seen.json(),
        r#"{"image":{"tag":"image"},"config":{"timeout":5,"maxConcurrency":3}}"#
    );
    worker.start_instance(id).await.unwrap();
    // The other way round.
    store.put("mine", &seen).await.unwrap();
    let (status, json) = get("mine").await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, &json["image_tag"]), (200, &"image".into()));
    assert_eq!((&json["config"]["timeout"], &json["config"]["mem_limit"]), (&5.into(), &0.into()));
    worker.start_instance("mine").await.unwrap();
    assert!(store.delete(id).await.unwrap());
    assert_eq!(get(id).await.0, 404);
}

#[tokio::test]
async fn watchers_hear_of_a_put_that_was_answered_and_do_not_hold_up_the_end() {
    let options = "--etcd-listen 127.0.0.1:0 --shutdown-grace 1h";
    let worker = TestWorker::start(&[("image", &constant(Duration::ZERO))], options).await;
    let channel = channel_to(worker.app.etcd_address().unwrap().parse().unwrap()).await;
    let create = WatchCreateRequest { key: "k".into(), ..WatchCreateRequest::default() };
    let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::once(request).chain(tokio_stream::pending());
    let mut watch = WatchClient::new(channel.clone()).watch(requests).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().unwrap().created);
    let mut kv = KvClient::new(channel);
    let put = PutRequest { key: "k".into(), value: "v".into(), ..PutRequest::default() };
    kv.put(put).await.unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().events.len(), 1);
    worker.app.shut_down(std::future::pending()).await;
    // The stream has ended, in whichever way.
    while let Ok(Some(_)) = watch.message().await {}
}

#[tokio::test]
async fn what_a_client_holds_and_asks_for_is_bounded_and_refused_with_the_reason() {
    let own = Etcd::own().await;
    let mut kv = KvClient::new(channel(&own).await);
    let too_long =
        PutRequest { key: "k".into(), value: vec![0; 70_000].into(), ..PutRequest::default() };
    let status = kv.put(too_long).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "the value has 70000 bytes, expected at most 65536");
    let huge = PutRequest { value: vec![0; 5 << 20].into(), ..PutRequest::default() };
    assert_eq!(kv.put(huge).await.unwrap_err().code(), Code::ResourceExhausted);
    // A store of 64 MiB takes no more than that, whatever its clients do.
    let full = loop {
        let key = fastrand::u64(..).to_be_bytes().to_vec().into();
        let value = vec![1; 60_000].into();
        if let Err(status) = kv.put(PutRequest { key, value, ..PutRequest::default() }).await {
            break status;
        }
    };
    assert_eq!(full.code(), Code::ResourceExhausted);
    assert!(full.message().contains("67108864 bytes of functions are kept"), "{full}");
    assert!(full.message().contains("delete some"), "{full}");
    let key = bytes::Bytes::from_static(&[0]);
    let all = DeleteRangeRequest { range_end: key.clone(), key, ..DeleteRangeRequest::default() };
    assert!(kv.delete_range(all).await.unwrap().into_inner().deleted > 1000);
    // Watchers on one stream.
    let create = |number: i64| {
        let create = WatchCreateRequest { key: "k".into(), watch_id: number, ..Default::default() };
        WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
    };
    let requests = tokio_stream::iter((1..=1024).map(create)).chain(tokio_stream::pending());
    let watch = WatchClient::new(channel(&own).await).watch(requests).await;
    let mut watch = watch.unwrap().into_inner();
    let refused = loop {
        let response = watch.message().await.unwrap().unwrap();
        if response.canceled {
            break response;
        }
    };
    assert!(refused.cancel_reason.contains("1024 watchers are kept"), "{}", refused.cancel_reason);
    drop(watch);
}

#[test]
fn functions_survive_kill_9_when_a_file_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("functions");
    let options =
        format!("--etcd-listen 127.0.0.1:0 --runtime instant --functions-file {}", file.display());
    let function = |served: &Served, line: &str| -> serde_json::Value {
        let address = served.summary.split("an etcd is served here, at ").nth(1).unwrap();
        let address = address.split(';').next().unwrap();
        let mut command = hyperfake();
        command.arg("function").args(line.split(' ')).args(["--json", "--etcd-endpoint", address]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let served = Served::start(&options);
    let first = function(&served, "create hyperfaas-echo:latest");
    let id = first["function_id"].as_str().unwrap().to_owned();
    let other = function(&served, "create other")["function_id"].as_str().unwrap().to_owned();
    function(&served, &format!("delete {other}"));
    // A second worker cannot have the file.
    let mut second = hyperfake();
    let line = "server --address 127.0.0.1:0 --database-type embedded --database-address";
    second.args(line.split(' ')).arg("http://127.0.0.1:0").args(options.split(' '));
    let refused = second.output().unwrap();
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.contains("--functions-file") && refused.contains("another worker has it open"),
        "{refused}"
    );
    drop(served); // This is kill -9.

    let served = Served::start(&options);
    let listed = function(&served, "list");
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["function_id"], id.as_str());
    assert_eq!(listed[0]["image"], "hyperfaas-echo:latest");
    assert_eq!(listed[0]["cpu_cores"], 0.5);
}

#[test]
fn etcdctl_puts_gets_watches_and_deletes_in_our_own_etcd() {
    let Some(etcdctl) = program("etcdctl") else { return };
    let served = Served::start("--runtime instant --etcd-listen 127.0.0.1:0");
    let address = served.summary.split("an etcd is served here, at ").nth(1).unwrap();
    let address = address.split(';').next().unwrap().to_owned();
    let command = |line: &str| {
        let mut command = Command::new(&etcdctl);
        command.env("ETCDCTL_API", "3").args(["--endpoints", &address]).args(line.split(' '));
        command
    };
    let run = |line: &str| {
        let output = command(line).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let mut watch = command("watch --prefix a --prev-kv");
    let mut watch = watch.stdout(std::process::Stdio::piped()).spawn().unwrap();
    assert_eq!(run("put a/1 one"), "OK\n");
    assert_eq!(run("put a/2 two"), "OK\n");
    assert_eq!(run("put a/1 three --prev-kv"), "OK\na/1\none\n");
    assert_eq!(run("get a/1"), "a/1\nthree\n");
    assert_eq!(run("get --prefix a --print-value-only"), "three\ntwo\n");
    assert_eq!(
        run("get --prefix a --keys-only --order DESCEND --sort-by MODIFY"),
        "a/1\n\na/2\n\n"
    );
    assert_eq!(run("get --from-key a/2 --limit 1"), "a/2\ntwo\n");
    let json: serde_json::Value = serde_json::from_str(&run("get a/1 -w json")).unwrap();
    let revision = json["kvs"][0]["mod_revision"].as_i64().unwrap();
    assert_eq!(run(&format!("get a/1 --rev {}", revision - 1)), "a/1\none\n");
    let error = command(&format!("get a/1 --rev {}", revision + 9)).output().unwrap();
    assert!(String::from_utf8_lossy(&error.stderr).contains("future revision"));
    assert_eq!(run("del --prefix a --prev-kv"), "2\na/1\nthree\na/2\ntwo\n");
    assert_eq!(run("get --prefix a"), "");
    let events = command(&format!("watch --prefix a --rev {}", revision - 1));
    let heard = first_lines(events, 8);
    assert_eq!(heard, ["PUT", "a/2", "two", "PUT", "a/1", "three", "DELETE", "a/1"]);
    watch.kill().unwrap();
    watch.wait().unwrap();
    let health = command("endpoint health").output().unwrap();
    assert!(health.status.success(), "{health:?}");
}

/// The first lines that a command writes before it is ended.
fn first_lines(mut command: Command, number: usize) -> Vec<String> {
    use std::io::{BufRead, BufReader};
    let mut process = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(process.stdout.take().unwrap());
    let lines = output.lines().take(number).collect::<Result<_, _>>().unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    lines
}

#[tokio::test]
async fn options_that_contradict_each_other_are_refused_with_their_flag() {
    for (line, expected) in [
        (
            "--database-type http --etcd-endpoint a:1",
            "--etcd-endpoint: it has no use with --database-type http",
        ),
        ("--database-type etcd --functions-file x", "--functions-file: it has no use with"),
        ("--etcd-endpoint localhost", "--etcd-endpoint: found 'localhost', expected HOST:PORT"),
        ("--etcd-listen nowhere", "--etcd-listen: found 'nowhere', expected HOST:PORT"),
        ("--metadata-prefix /", "--metadata-prefix: found '/'"),
        ("--metadata-dial-timeout 0s", "--metadata-dial-timeout: found 0"),
    ] {
        let error = crate::support::try_config(line).unwrap_err().to_string();
        assert!(error.contains(expected), "{line}: {error}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let line = format!(
        "--address 127.0.0.1:0 --database-type embedded --database-address http://127.0.0.1:0 \
         --etcd-listen {address} --models-dir {}",
        crate::support::repository("models").display()
    );
    let error = App::start(config(&line)).await.unwrap_err().to_string();
    assert!(error.contains("--etcd-listen") && error.contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn auto_asks_an_etcd_that_answers_and_the_registry_that_answers() {
    let worker =
        TestWorker::start(&[("image", &constant(Duration::ZERO))], "--etcd-listen 127.0.0.1:0")
            .await;
    let line = format!(
        "--address 127.0.0.1:0 --database-type auto --database-address {} --etcd-endpoint {} \
         --runtime instant --models-dir {}",
        worker.database,
        worker.app.etcd_address().unwrap(),
        crate::support::repository("models").display()
    );
    let second = App::start(config(&line)).await.unwrap();
    let summary = second.summary();
    assert!(summary.contains("etcd is asked, at") && summary.contains("looked up at"), "{summary}");
    let function = worker.register("hyperfaas-echo").await;
    connect(&second).await.start(FunctionId { id: function }).await.unwrap();
    let unknown = connect(&second).await.start(FunctionId { id: "x".into() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn thousands_of_starts_of_unknown_functions_are_few_connections() {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    // A registry that knows nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = format!(
        "--address 127.0.0.1:0 --database-type http --database-address http://{} --models-dir {}",
        listener.local_addr().unwrap(),
        crate::support::repository("models").display()
    );
    let connections = Arc::new(AtomicUsize::new(0));
    let questions = Arc::new(AtomicUsize::new(0));
    let (accepted, asked) = (Arc::clone(&connections), Arc::clone(&questions));
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            accepted.fetch_add(1, Ordering::Relaxed);
            let asked = Arc::clone(&asked);
            tokio::spawn(async move {
                let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
                while connection.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                    asked.fetch_add(1, Ordering::Relaxed);
                    connection.write_all(answer).await.unwrap();
                }
            });
        }
    });
    let app = App::start(config(&line)).await.unwrap();
    let client = connect(&app).await;
    let start = |id: String| {
        let mut client = client.clone();
        tokio::spawn(async move { client.start(FunctionId { id }).await })
    };
    let starts: Vec<_> = (0..4000).map(|number| start(format!("f{number}"))).collect();
    for refused in starts {
        let code = refused.await.unwrap().unwrap_err().code();
        // On a machine that is too busy, some wait too long for their turn.
        assert!(matches!(code, Code::NotFound | Code::Unavailable), "{code:?}");
    }
    let many = connections.load(Ordering::Relaxed);
    assert!((1..400).contains(&many), "{many} connections");
    // One function at once is one question, and a few more while that is remembered.
    let before = questions.load(Ordering::Relaxed);
    let starts: Vec<_> = (0..1000).map(|_| start("g".into())).collect();
    for refused in starts {
        assert_eq!(refused.await.unwrap().unwrap_err().code(), Code::NotFound);
    }
    let asked = questions.load(Ordering::Relaxed) - before;
    assert!((1..100).contains(&asked), "{asked} questions");
}
