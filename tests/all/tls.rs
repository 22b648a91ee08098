//! TLS, seen by clients of several kinds.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioExecutor;
use hyperfake_predictor::Result;
use hyperfake_proto::controller::{
    MetricsRequest, common::FunctionId, controller_client::ControllerClient,
};
use hyperfake_worker::{
    app::App,
    args::{Cli, Command},
    commands::{Output, call, function, health, load},
    tls::{ClientFiles, ClientTls, Protocol},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{
    Code,
    transport::{Certificate, Channel, ClientTlsConfig, Identity},
};

use crate::{
    program::Served,
    support::{config, constant},
};

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for this name, valid in these years, and its key.
    fn issue(&self, name: &str, from: i32, until: i32) -> (String, String) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// A folder with the files of a server and of its clients.
struct Files {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Files {
    fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap(), authority: Authority::new() };
        files.write("ca.pem", &files.authority.pem);
        let zero = constant(Duration::ZERO);
        files.write("image.json", &zero);
        for name in ["server", "client"] {
            files.issue(name, &files.authority, 2020, 2100);
        }
        files
    }

    /// Writes a certificate for `localhost` and its key.
    fn issue(&self, name: &str, authority: &Authority, from: i32, until: i32) {
        let (certificate, key) = authority.issue("localhost", from, until);
        self.write(&format!("{name}.pem"), &certificate);
        self.write(&format!("{name}.key"), &key);
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The line with `{}` for the folder.
    fn line(&self, options: &str) -> String {
        options.replace("{}", self.folder.path().to_str().unwrap())
    }

    async fn serve(&self, options: &str) -> Result<App> {
        let database = match options.contains("--database-address") {
            true => "",
            false => "--database-address http://127.0.0.1:0",
        };
        let kind =
            if options.contains("--database-type") { "" } else { "--database-type embedded" };
        let options = self.line(&format!(
            "--address localhost:0 {kind} {database} --runtime instant -m {{}}/image.json image \
             {options}"
        ));
        App::start(config(&options)).await
    }

    /// What tonic's own client gets.
    async fn tonic(&self, app: &App, identity: Option<&str>) -> Result<(), String> {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(self.read("ca.pem")))
            .domain_name("localhost");
        if let Some(name) = identity {
            let (cert, key) = (format!("{name}.pem"), format!("{name}.key"));
            tls = tls.identity(Identity::from_pem(self.read(&cert), self.read(&key)));
        }
        let endpoint = Channel::from_shared(format!("https://{}", app.address())).unwrap();
        let channel = endpoint.tls_config(tls).unwrap().connect().await;
        let mut client = ControllerClient::new(channel.map_err(|error| format!("{error:?}"))?);
        let metrics = client.metrics(MetricsRequest::default()).await;
        metrics.map(drop).map_err(|error| format!("{error:?}"))
    }

    /// What `hyperfake call` and `hyperfake load` get.
    async fn ours(&self, app: &App, options: &str) -> Result<Output> {
        let target = self.line(&format!(
            "--address https://localhost:{} --database-address {} {options}",
            app.address().port(),
            app.registry_url()
        ));
        let command = |line: &str| {
            let line = format!("hyperfake {line} {target}");
            Cli::read(line.split_whitespace().map(OsString::from)).unwrap().command
        };
        let Command::Load(args) =
            command("load --functions image --rate 50 --duration 100ms --connections 2")
        else {
            panic!("not load")
        };
        if let Ok(output) = load::run(*args).await {
            // On a busy machine the run may not be valid, but no call fails.
            assert!(output.text.contains("calls each second"), "{output:?}");
            assert!(!output.text.contains(" x "), "{output:?}");
        }
        match command("call image") {
            Command::Call(args) => call::run(*args).await,
            other => panic!("{other:?}"),
        }
    }

    /// What `hyperfake health` gets.
    async fn health(&self, app: &App, options: &str) -> Result<Output> {
        let port = app.address().port();
        let line =
            self.line(&format!("hyperfake health --address https://localhost:{port} {options}"));
        match Cli::read(line.split_whitespace().map(OsString::from)).unwrap().command {
            Command::Health(args) => health::run(args).await,
            other => panic!("{other:?}"),
        }
    }
}

const SERVER: &str = "--tls-cert {}/server.pem --tls-key {}/server.key";
const MUTUAL: &str = "--tls-cert {}/server.pem --tls-key {}/server.key --tls-client-ca {}/ca.pem";
const OWN: &str = "--tls-ca {}/ca.pem --tls-cert {}/client.pem --tls-key {}/client.key";

#[tokio::test]
async fn calls_are_served_over_tls_and_to_nobody_in_plain_text() {
    let files = Files::new();
    let app = files.serve(SERVER).await.unwrap();
    files.tonic(&app, None).await.unwrap();
    let output = files.ours(&app, "--tls-ca {}/ca.pem").await.unwrap();
    assert!(output.succeeded, "{output:?}");
    assert!(files.health(&app, "--tls-ca {}/ca.pem").await.unwrap().succeeded);
    // The registry is asked for a function over plain text, as its address says.
    assert_eq!(app.registry_url().scheme(), "http");

    let expected = files.line("TLS with the certificate in {}/server.pem");
    assert_eq!(app.summary().lines().last().unwrap(), expected);

    let mut plain = crate::support::connect(&app).await;
    plain.metrics(MetricsRequest::default()).await.unwrap_err();
    files.tonic(&app, None).await.unwrap();
}

#[tokio::test]
async fn the_etcd_is_served_in_plain_text_which_is_all_that_its_clients_speak() {
    let files = Files::new();
    let app = files.serve(&format!("{MUTUAL} --etcd-listen 127.0.0.1:0")).await.unwrap();
    let etcd = app.etcd_address().unwrap();
    for line in ["create image", "list"] {
        let line = format!("hyperfake function {line} --etcd-endpoint {etcd}");
        let command = Cli::read(line.split_whitespace().map(OsString::from)).unwrap().command;
        let Command::Function(args) = command else { panic!("{command:?}") };
        let output = function::run(args).await.unwrap();
        assert!(output.succeeded && !output.text.is_empty(), "{output:?}");
    }
    let in_plain_text = "others reach functions in plain text";
    assert!(!app.summary().contains(in_plain_text));
    let app = files.serve(&format!("{SERVER} --etcd-listen 0.0.0.0:0")).await.unwrap();
    assert!(app.summary().contains(in_plain_text), "{}", app.summary());
}

#[tokio::test]
async fn our_client_believes_only_what_it_was_told_to() {
    let files = Files::new();
    let app = files.serve(SERVER).await.unwrap();
    files.write("other.pem", Authority::new().pem());
    for (options, expected) in [
        ("--tls-ca {}/other.pem", "invalid peer certificate"),
        ("--tls-ca {}/ca.pem --tls-server-name other", "certificate not valid for name \"other\""),
        ("--tls-ca {}/none.pem", "--tls-ca: {}/none.pem: no such file"),
        ("--tls-ca {}/image.json", "--tls-ca: {}/image.json: found no certificate"),
        (
            "--tls-ca {}/ca.pem --tls-cert {}/server.pem --tls-key {}/client.key",
            "--tls-key: {}/client.key: not the key of the certificate in {}/server.pem",
        ),
    ] {
        let error = files.ours(&app, options).await.unwrap_err().to_string();
        assert!(error.contains(&files.line(expected)), "{options}: {error}");
    }
    let options = "--tls-ca {}/ca.pem --tls-server-name localhost";
    assert!(files.ours(&app, options).await.unwrap().succeeded);
}

#[tokio::test]
async fn with_authorities_of_clients_only_their_clients_are_served() {
    let files = Files::new();
    let app = files.serve(MUTUAL).await.unwrap();
    files.tonic(&app, Some("client")).await.unwrap();
    assert!(files.health(&app, OWN).await.unwrap().succeeded);
    files.health(&app, "--tls-ca {}/ca.pem").await.unwrap_err();
    assert!(files.ours(&app, OWN).await.unwrap().succeeded);

    files.issue("stranger", &Authority::new(), 2020, 2100);
    files.issue("expired", &files.authority, 2020, 2021);
    for refused in [None, Some("stranger"), Some("expired")] {
        files.tonic(&app, refused).await.unwrap_err();
    }
    files.ours(&app, "--tls-ca {}/ca.pem").await.unwrap_err();
    files.tonic(&app, Some("client")).await.unwrap();
    let expected = files.line(
        "TLS with the certificate in {}/server.pem, for clients with a certificate of {}/ca.pem",
    );
    assert_eq!(app.summary().lines().last().unwrap(), expected);
}

#[tokio::test]
async fn a_reload_changes_the_certificate_of_new_connections() {
    let files = Files::new();
    let app = files.serve(SERVER).await.unwrap();
    let open = Channel::from_shared(format!("https://{}", app.address())).unwrap();
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(files.read("ca.pem")))
        .domain_name("localhost");
    let open = open.tls_config(tls).unwrap().connect().await.unwrap();
    let mut open = ControllerClient::new(open);
    open.metrics(MetricsRequest::default()).await.unwrap();

    // What cannot be used changes nothing.
    let valid = files.read("server.key");
    files.write("server.key", &files.read("client.key"));
    let error = app.reload_tls().unwrap_err().to_string();
    let expected = "--tls-key: {}/server.key: not the key of the certificate in {}/server.pem";
    assert!(error.starts_with(&files.line(expected)), "{error}");
    files.tonic(&app, None).await.unwrap();
    files.write("server.key", &valid);

    let next = Authority::new();
    files.issue("server", &next, 2020, 2100);
    assert!(app.reload_tls().unwrap());
    files.tonic(&app, None).await.unwrap_err();
    files.write("ca.pem", next.pem());
    files.tonic(&app, None).await.unwrap();
    open.metrics(MetricsRequest::default()).await.unwrap();
}

#[test]
fn sighup_reloads_the_certificate_and_the_log_says_when_that_fails() {
    let files = Files::new();
    let log = files.path("log");
    let options = files.line(&format!("{SERVER} --log-file {{}}/log"));
    let server = Served::start(&options);
    let until_logged = |text: &str| {
        while !std::fs::read_to_string(&log).unwrap_or_default().contains(text) {
            std::thread::yield_now();
        }
    };
    server.signal("-HUP");
    until_logged("reloaded the files of TLS");
    files.write("server.pem", "no certificate");
    server.signal("-HUP");
    until_logged("TLS stays as it was");
    until_logged(&files.line("--tls-cert: {}/server.pem: found no certificate"));
    server.signal("-TERM");
    assert_eq!(server.end().0, Some(0));

    // Without a log file as well, SIGHUP does not end a server with TLS.
    let server = Served::start(&files.line("--tls-cert {}/client.pem --tls-key {}/client.key"));
    server.signal("-HUP");
    server.signal("-TERM");
    let (code, log) = server.end();
    assert!(code == Some(0) && log.contains("reloaded the files of TLS"), "{code:?}: {log}");
}

#[tokio::test]
async fn a_certificate_or_key_that_cannot_be_used_is_one_clear_line() {
    let files = Files::new();
    files.issue("expired", &files.authority, 2020, 2021);
    files.issue("early", &files.authority, 2100, 2101);
    files.write("empty.pem", "");
    files.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    files.write("broken.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    files.write("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    for (options, expected) in [
        (
            "--tls-cert {}/expired.pem --tls-key {}/expired.key",
            "--tls-cert: {}/expired.pem: the certificate has expired: it was valid until Fri, 01 \
             Jan 2021 00:00:00 GMT",
        ),
        (
            "--tls-cert {}/early.pem --tls-key {}/early.key",
            "--tls-cert: {}/early.pem: the certificate is not valid yet: it will be from Fri, 01 \
             Jan 2100 00:00:00 GMT",
        ),
        (
            "--tls-cert {}/server.pem --tls-key {}/client.key",
            "--tls-key: {}/client.key: not the key of the certificate in {}/server.pem; expected \
             the two to belong together",
        ),
        ("--tls-cert {}/none.pem --tls-key {}/server.key", "--tls-cert: {}/none.pem: no such file"),
        (
            "--tls-cert {}/empty.pem --tls-key {}/server.key",
            "--tls-cert: {}/empty.pem: the file is empty",
        ),
        (
            "--tls-cert {}/server.key --tls-key {}/server.key",
            "--tls-cert: {}/server.key: found no certificate, expected 'BEGIN CERTIFICATE'",
        ),
        (
            "--tls-cert {}/server.pem --tls-key {}/server.pem",
            "--tls-key: {}/server.pem: found no private key without a password, expected 'BEGIN \
             PRIVATE KEY'",
        ),
        (
            "--tls-cert {}/broken.pem --tls-key {}/server.key",
            "--tls-cert: {}/broken.pem: not a certificate that can be used: ",
        ),
        (
            "--tls-cert {}/server.pem --tls-key {}/broken.key",
            "--tls-key: {}/broken.key: not a key that can be used: ",
        ),
        ("--tls-cert {}/cut.pem --tls-key {}/server.key", "--tls-cert: {}/cut.pem: not PEM: "),
        (
            "--tls-cert {}/server.pem --tls-key {}/server.key --tls-client-ca {}/image.json",
            "--tls-client-ca: {}/image.json: found no certificate, expected 'BEGIN CERTIFICATE'",
        ),
    ] {
        let error = files.serve(options).await.unwrap_err().to_string();
        assert!(error.starts_with(&files.line(expected)), "{options}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_handshake_holds_up_nobody_and_is_sent_away() {
    let files = Files::new();
    let app = files.serve(SERVER).await.unwrap();
    let mut silent = Vec::new();
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00"] {
        let mut stream = TcpStream::connect(app.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        silent.push(stream);
    }
    // More than there are threads.
    for _ in 0..20 {
        files.tonic(&app, None).await.unwrap();
    }
    for mut stream in silent {
        // Ends, once the time for the preface is over.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer, b"");
    }
}

#[tokio::test]
async fn the_page_of_metrics_is_served_over_tls_as_well() {
    let files = Files::new();
    let app = files.serve(&format!("{SERVER} --metrics-address localhost:0")).await.unwrap();
    let address = app.http_address().unwrap();
    assert!(
        app.summary().contains(&format!("watch it at https://{address}/; metrics at /metrics"))
    );
    let address = format!("https://localhost:{}/metrics", address.port());
    let page = get(&files.path("ca.pem"), &address).await;
    assert!(page.contains("hyperfake_active_calls"), "{page}");
}

/// The page of metrics, as it comes.
async fn get(ca: &Path, address: &str) -> String {
    let files = ClientFiles { ca: Some(ca.to_owned()), ..ClientFiles::default() };
    let tls = ClientTls::load(&files).unwrap();
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
    let client = client.build::<_, Full<Bytes>>(tls.connector(Protocol::Http1));
    let page = client.get(address.parse().unwrap()).await.unwrap();
    assert_eq!(page.status(), 200);
    let page = page.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(page.to_vec()).unwrap()
}

#[tokio::test]
async fn a_registry_at_an_https_address_is_served_and_asked_over_tls() {
    let files = Files::new();
    let (database, tls) = ("--database-address https://localhost:0", "--tls-ca {}/ca.pem");
    // Nobody is served without a certificate here: neither a worker nor its registry.
    let first = files.serve(&format!("{MUTUAL} {database}")).await.unwrap();
    let registry = first.registry_url().to_string();
    assert!(registry.starts_with("https://localhost:"), "{registry}");
    assert!(files.ours(&first, OWN).await.unwrap().succeeded);
    files.ours(&first, tls).await.unwrap_err();

    let line = format!("{MUTUAL} {tls} --database-type http --database-address {registry}");
    let second = files.serve(&line).await.unwrap();
    assert!(files.ours(&second, OWN).await.unwrap().succeeded);
    // One that shows no certificate there, and does not believe that of the registry.
    let line = format!("--database-type http --database-address {registry}");
    match files.serve(&line).await {
        Ok(stranger) => {
            let function = FunctionId { id: "f".into() };
            let started = crate::support::connect(&stranger).await.start(function).await;
            assert_eq!(crate::support::code(started), Code::Unavailable);
        }
        Err(error) => assert!(error.to_string().starts_with("--tls-ca: found no"), "{error}"),
    }

    let error = files.serve(database).await.unwrap_err().to_string();
    assert!(error.ends_with("cannot be served without --tls-cert and --tls-key"), "{error}");
}

#[tokio::test]
async fn plain_text_is_named_unless_this_machine_alone_is_served() {
    let files = Files::new();
    let warning = "in plain text: others on the network can read and change what is sent; for TLS, \
                   see --tls-cert";
    for (options, is_named) in [
        ("--address 127.0.0.1:0", false),
        ("--address [::1]:0", false),
        ("--address 0.0.0.0:0", true),
        ("--address 127.0.0.1:0 --http 0.0.0.0:0 --http-token 0123456789abcdef", true),
        ("--address 127.0.0.1:0 --database-address http://0.0.0.0:0", true),
    ] {
        let database = match options.contains("--database-address") {
            true => "",
            false => "--database-address http://localhost:0",
        };
        let line = files.line(&format!(
            "{options} --database-type embedded {database} -m {{}}/image.json image"
        ));
        let app = App::start(config(&line)).await.unwrap();
        assert_eq!(app.summary().lines().any(|line| line == warning), is_named, "{options}");
    }
}
