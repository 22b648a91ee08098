//! The files of `deploy/`: what they tell the program is what it takes, and they agree with each other.

use std::{ffi::OsString, fs, path::Path};

use hyperfake_worker::{
    admin::Listen,
    args::{Cli, Command, HealthArgs, parser},
    config::Config,
    functions::{EtcdListen, StoreKind},
    machine::Machine,
};
use serde_json::Value;

use crate::support::repository;

const IMAGE: &str = concat!("hyperfake-worker:", env!("CARGO_PKG_VERSION"));
/// Where the image has the seven functions of the platform.
const FUNCTIONS: &str = "/models/functions";
/// The folder that the image's user can write to, if a volume is there.
const DATA: &str = "/var/lib/hyperfake";
/// The image's user.
const USER: i64 = 65532;

#[test]
fn compose_puts_the_image_in_the_place_of_the_platforms_worker() {
    let compose = yaml("deploy/compose.yaml").remove(0);
    let worker = &compose["services"]["worker"];
    assert_eq!(worker["image"], IMAGE);
    let config = server(&words(&worker["command"]));
    // Where the platform's leaf, HAProxy and command line expect it to be.
    assert_eq!(port(&config), 50001);
    assert_eq!(config.instances.advertise.as_deref(), Some("worker"));
    assert_eq!(config.places.kind, StoreKind::Etcd);
    assert_eq!(config.places.etcd.endpoints, ["etcd:2379"]);
    assert_eq!(config.models.folder.as_deref(), Some(Path::new(FUNCTIONS)));
    assert!(seconds(&worker["stop_grace_period"]) > config.shutdown_grace.as_secs());
    let test = words(&worker["healthcheck"]["test"]);
    let (kind, test) = test.split_first().unwrap();
    assert_eq!((&**kind, &*test[0]), ("CMD", "hyperfake"), "the image has no shell");
    assert_eq!(health(&test[1..]).address, "localhost:50001");
    // What belonged to the platform's image and containers is taken away, not merged.
    for name in ["build", "develop", "volumes"] {
        assert!(worker.as_object().unwrap().contains_key(name), "{name} stays as it is upstream");
    }
    let text = read("deploy/compose.yaml");
    assert_eq!(text.matches(": !reset").count(), 3);
}

#[test]
fn compose_joins_a_leaf_to_a_worker_that_is_its_etcd() {
    let compose = yaml("deploy/compose.leaf.yaml").remove(0);
    let (worker, leaf) = (&compose["services"]["worker"], &compose["services"]["leaf"]);
    assert_eq!(worker["image"], IMAGE);
    assert!(
        repository("deploy").join(text(&worker["build"]["context"])).join("Cargo.toml").exists()
    );
    assert!(repository(text(&worker["build"]["dockerfile"])).exists());
    let config = server(&words(&worker["command"]));
    assert_eq!(config.instances.advertise.as_deref(), Some("worker"));
    // The image's own health check asks there.
    assert_eq!(port(&config), 50051);
    let EtcdListen::At(etcd) = &config.places.etcd_listen else { panic!("{:?}", config.places) };
    let etcd = etcd.rsplit_once(':').unwrap().1;
    let leafs = words(&leaf["command"]);
    let is_told = |option: String| assert!(leafs.contains(&option), "{option} is not in {leafs:?}");
    is_told(format!("-worker-addr=worker:{}", port(&config)));
    is_told(format!("-etcd-endpoint=worker:{etcd}"));
    let file = config.places.file.unwrap();
    assert_eq!(file.parent(), Some(Path::new(DATA)));
    assert_eq!(words(&worker["volumes"]), [format!("functions:{DATA}")]);
    assert!(seconds(&worker["stop_grace_period"]) > config.shutdown_grace.as_secs());
    // Functions and instances belong to those who reach these ports.
    for service in [worker, leaf] {
        for published in words(&service["ports"]) {
            assert!(published.starts_with("127.0.0.1:"), "{published} is open to the network");
        }
    }
}

#[test]
fn nothing_runs_as_root_or_with_more_rights_than_it_needs() {
    for file in ["deploy/compose.yaml", "deploy/compose.leaf.yaml"] {
        let compose = yaml(file).remove(0);
        for (name, service) in compose["services"].as_object().unwrap() {
            assert_eq!(service["read_only"], true, "{file}: {name}");
            assert_eq!(words(&service["cap_drop"]), ["ALL"], "{file}: {name}");
            assert_eq!(words(&service["security_opt"]), ["no-new-privileges:true"]);
        }
    }
    for set in stateful_sets() {
        let pod = &set["spec"]["template"]["spec"];
        let name = &set["metadata"]["name"];
        let context = &pod["securityContext"];
        assert_eq!(context["runAsNonRoot"], true, "{name}");
        for id in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert_eq!(context[id], USER, "{name}: {id}");
        }
        assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        // Its variables would be named as the options' are.
        assert_eq!(pod["enableServiceLinks"], false, "{name}");
        let context = &container(&set)["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(words(&context["capabilities"]["drop"]), ["ALL"], "{name}");
    }
    assert_eq!(instruction("USER"), format!("{USER}:{USER}"));
}

#[test]
fn workers_in_kubernetes_serve_where_their_probes_services_and_leaves_look() {
    let documents = manifests();
    for set in stateful_sets() {
        let name = text(&set["metadata"]["name"]).to_owned();
        let (pod, container) = (&set["spec"]["template"], container(&set));
        let config = pod_config(&set);
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let probe = &container[probe]["grpc"];
            assert_eq!(probe["port"], port(&config), "{name}: {probe}");
            assert!(matches!(probe["service"].as_str(), None | Some("worker")), "{name}: {probe}");
        }
        let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(grace > config.shutdown_grace.as_secs(), "{name}");
        // Files are in a volume, which is writable.
        let mounts = container["volumeMounts"].as_array().unwrap();
        for file in [&config.state_file, &config.places.file].into_iter().flatten() {
            let is_there = |mount: &Value| file.starts_with(text(&mount["mountPath"]));
            assert!(mounts.iter().any(is_there), "{name}: {}", file.display());
        }
        let labels = &pod["metadata"]["labels"];
        assert_eq!(&set["spec"]["selector"]["matchLabels"], labels, "{name}");
        let service = find(&documents, "Service", text(&set["spec"]["serviceName"]));
        assert_eq!(&service["spec"]["selector"], labels, "{name}");
        for published in service["spec"]["ports"].as_array().unwrap() {
            let ports = container["ports"].as_array().unwrap();
            let target = ports.iter().find(|port| port["name"] == published["targetPort"]);
            assert_eq!(target.unwrap()["containerPort"], published["port"], "{name}");
        }
    }
}

#[test]
fn workers_in_kubernetes_have_a_name_each_and_their_instances_the_pods_address() {
    let documents = manifests();
    let service = find(&documents, "Service", "hyperfake-worker");
    assert_eq!(
        service["spec"]["clusterIP"], "None",
        "a name for each pod needs a headless service"
    );
    let set = find(&documents, "StatefulSet", "hyperfake-worker");
    let env = container(set)["env"].as_array().unwrap();
    let advertised = env.iter().find(|one| one["name"] == "HYPERFAKE_ADVERTISE_HOST").unwrap();
    assert_eq!(advertised["valueFrom"]["fieldRef"]["fieldPath"], "status.podIP");
    let config = pod_config(set);
    assert_eq!(config.instances.advertise.as_deref(), Some(POD));
    assert_eq!(config.models.folder.as_deref(), Some(Path::new(FUNCTIONS)));
    let Listen::Metrics(metrics) = &config.admin.listen else { panic!("{:?}", config.admin) };
    let annotations = &set["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["prometheus.io/port"], metrics.trim_start_matches(':'));
    let budget = find(&documents, "PodDisruptionBudget", "hyperfake-worker");
    assert_eq!(budget["spec"]["selector"], set["spec"]["selector"]);
}

#[test]
fn workers_in_kubernetes_ask_the_etcd_that_is_deployed_with_them() {
    let documents = manifests();
    let set = find(&documents, "StatefulSet", "hyperfake-etcd");
    let config = pod_config(set);
    let EtcdListen::At(listen) = &config.places.etcd_listen else { panic!("{:?}", config.places) };
    let port = listen.strip_prefix("0.0.0.0:").expect("other pods have to reach it");
    assert_eq!(set["spec"]["replicas"], 1, "one process alone can have the file open");
    assert!(config.places.file.is_some());
    let workers = pod_config(find(&documents, "StatefulSet", "hyperfake-worker"));
    assert_eq!(workers.places.kind, StoreKind::Etcd);
    assert_eq!(workers.places.etcd.endpoints, [format!("hyperfake-etcd:{port}")]);
}

#[test]
fn the_kustomization_lists_every_manifest_and_the_image_of_this_version() {
    let kustomization = kustomization();
    let mut files: Vec<_> = fs::read_dir(repository("deploy/kubernetes"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "kustomization.yaml")
        .collect();
    files.sort();
    let mut listed = words(&kustomization["resources"]);
    listed.sort();
    assert_eq!(listed, files);
    let image = &kustomization["images"][0];
    let full = format!("{}:{}", text(&image["name"]), text(&image["newTag"]));
    assert_eq!(full, IMAGE);
    for set in stateful_sets() {
        assert_eq!(container(&set)["image"], image["name"]);
    }
}

#[test]
fn the_image_starts_a_server_and_asks_it_for_its_health() {
    let (entry, command) = (instruction("ENTRYPOINT"), instruction("CMD"));
    let entry: Vec<String> = serde_json::from_str(&entry).unwrap();
    assert_eq!(entry, ["/usr/local/bin/hyperfake"]);
    let command: Vec<String> = serde_json::from_str(&command).unwrap();
    let config = server(&command);
    assert_eq!(instruction("EXPOSE"), port(&config).to_string());
    // What a server without options searches is there.
    assert_eq!(config.models.folder.as_deref(), Some(Path::new("./models")));
    let dockerfile = read("deploy/Dockerfile");
    assert!(dockerfile.contains("\nWORKDIR /\nUSER"), "./models is elsewhere");
    assert!(dockerfile.contains("COPY models/functions/ /models/functions/"));
    let check = instruction("HEALTHCHECK");
    let (options, check) = check.split_once(" CMD ").unwrap();
    let check: Vec<String> = serde_json::from_str(check).unwrap();
    assert_eq!(check[0], entry[0]);
    let check = health(&check[1..]);
    assert_eq!(check.address, format!("localhost:{}", port(&config)));
    let timeout = options.split(' ').find_map(|word| word.strip_prefix("--timeout=")).unwrap();
    assert!(
        seconds(&Value::from(timeout)) > check.timeout.as_secs(),
        "it has to say why it failed"
    );
    let version = format!("org.opencontainers.image.version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(dockerfile.contains(&version), "{version} is not there");
    assert!(dockerfile.contains(IMAGE), "the line that builds it has another name");
    // The oldest compiler that builds the program.
    let rust = env!("CARGO_PKG_RUST_VERSION");
    assert!(dockerfile.contains(&format!("\nARG RUST={rust}\n")), "{rust}");
}

#[test]
fn the_image_is_built_from_all_that_the_build_reads() {
    let ignored = read(".dockerignore");
    let kept: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignored.contains("\n*\n"), "what is not named is kept");
    // The members of the workspace, and the folders of the targets that it names.
    let manifest = read("Cargo.toml");
    let (_, members) = manifest.split_once("members = [").unwrap();
    let members = members.split(']').next().unwrap().split('"').skip(1).step_by(2);
    let targets = manifest.lines().filter_map(|line| line.strip_prefix("path = \""));
    for path in members.chain(targets).chain(["src/main.rs", "build.rs", "Cargo.lock"]) {
        let first = path.split(['/', '"']).next().unwrap();
        assert!(kept.contains(&first), "{path} is not among what an image is built from");
    }
}

/// The address of the pod that a StatefulSet stands for here.
const POD: &str = "10.1.2.3";

fn manifests() -> Vec<Value> {
    let files = kustomization();
    let files = words(&files["resources"]);
    files.iter().flat_map(|file| yaml(&format!("deploy/kubernetes/{file}"))).collect()
}

fn stateful_sets() -> Vec<Value> {
    let sets: Vec<_> =
        manifests().into_iter().filter(|document| document["kind"] == "StatefulSet").collect();
    assert!(!sets.is_empty());
    sets
}

fn find<'a>(documents: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = documents.iter().find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

fn container(set: &Value) -> &Value {
    let containers = set["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    &containers[0]
}

fn kustomization() -> Value {
    yaml("deploy/kubernetes/kustomization.yaml").remove(0)
}

/// What the program would do in this pod: its arguments, and the variables as options.
fn pod_config(set: &Value) -> Config {
    let container = container(set);
    let mut variables = Vec::new();
    for source in container["envFrom"].as_array().into_iter().flatten() {
        let name = &source["configMapRef"]["name"];
        let kustomization = kustomization();
        let maps = kustomization["configMapGenerator"].as_array().unwrap();
        let map = maps.iter().find(|map| map["name"] == *name).unwrap();
        for literal in words(&map["literals"]) {
            let (name, value) = literal.split_once('=').unwrap();
            variables.push((name.to_owned(), value.to_owned()));
        }
    }
    for variable in container["env"].as_array().into_iter().flatten() {
        let value = match variable["value"].as_str() {
            Some(value) => value,
            None if variable["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP" => POD,
            None => panic!("where has {variable} its value from?"),
        };
        variables.push((text(&variable["name"]).to_owned(), value.to_owned()));
    }
    let mut line = match &container["args"] {
        Value::Null => vec!["server".to_owned()],
        args => words(args),
    };
    line.extend(variables.iter().map(|(name, value)| format!("--{}={value}", option(name))));
    server(&line)
}

/// The option of the server that this variable gives.
fn option(variable: &str) -> String {
    let parser = parser();
    let server = parser.find_subcommand("server").unwrap();
    let option = server.get_arguments().find(|one| one.get_env() == Some(variable.as_ref()));
    let option = option.unwrap_or_else(|| panic!("{variable} is not an option"));
    option.get_long().unwrap().to_owned()
}

fn server(line: &[String]) -> Config {
    match command(line) {
        Command::Server(args) => Config::new(*args, &Machine::detect()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn health(line: &[String]) -> HealthArgs {
    match command(line) {
        Command::Health(args) => args,
        other => panic!("{other:?}"),
    }
}

fn command(line: &[String]) -> Command {
    let line = ["hyperfake"].into_iter().chain(line.iter().map(String::as_str));
    Cli::read(line.map(OsString::from)).unwrap_or_else(|error| panic!("{error}")).command
}

fn port(config: &Config) -> u16 {
    config.addresses().unwrap()[0].port()
}

/// The rest of the last line of the Dockerfile that begins with this word, with those that it is
/// continued on.
fn instruction(name: &str) -> String {
    let dockerfile = read("deploy/Dockerfile").replace("\\\n", " ");
    let found =
        dockerfile.lines().rev().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let found = found.unwrap_or_else(|| panic!("the Dockerfile has no {name}"));
    found.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The documents of a file.
fn yaml(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("expected a text, found {value}"))
}

/// A list of texts, with the defaults of Compose's variables.
fn words(value: &Value) -> Vec<String> {
    let words = value.as_array().unwrap_or_else(|| panic!("expected a list, found {value}"));
    words.iter().map(|word| interpolated(text(word))).collect()
}

/// `${NAME:-default}` is the default.
fn interpolated(word: &str) -> String {
    let Some((before, rest)) = word.split_once("${") else { return word.to_owned() };
    let (variable, after) = rest.split_once('}').unwrap();
    let (_, default) = variable.split_once(":-").unwrap_or_else(|| panic!("{word} has no default"));
    format!("{before}{default}{}", interpolated(after))
}

/// Such as `40s`.
fn seconds(value: &Value) -> u64 {
    text(value).strip_suffix('s').unwrap().parse().unwrap()
}
