//! `hyperfake function`: registers, lists, changes and deletes functions, in etcd or in the registry of
//! 2025.

use std::time::Duration;

use hyperfake_predictor::{Error, ErrorKind, Result};

use super::Output;
use crate::{
    args::{EtcdArgs, FunctionArgs, FunctionCommand, FunctionLimitArgs, FunctionTargetArgs},
    config,
    functions::{
        StoreError,
        etcd::EtcdStore,
        http::HttpStore,
        metadata::{Config, Cpu, Image, Metadata},
    },
    report::{FunctionChange, FunctionList},
};

/// Does what was asked.
///
/// # Errors
///
/// When the store does not answer or refuses, or does not know the function.
pub async fn run(args: FunctionArgs) -> Result<Output> {
    let target = match &args.command {
        FunctionCommand::Create { target, .. }
        | FunctionCommand::List { target }
        | FunctionCommand::Update { target, .. }
        | FunctionCommand::Delete { target, .. } => target.clone(),
    };
    let run = obey(args.command, &target);
    tokio::time::timeout(target.timeout, run).await.unwrap_or_else(|_| {
        let message = format!("the function store gave no answer in {:?}", target.timeout);
        Err(Error::new(ErrorKind::Timeout, message).at("--timeout"))
    })
}

/// Registers a function with this image in etcd, with the limits of one that states none, and returns its
/// id.
pub(super) async fn register(image: &str, etcd: &EtcdArgs) -> Result<String> {
    let store = EtcdStore::new(&config::etcd(etcd, false)?).map_err(failed)?;
    put(&store, &new_function(image.to_owned(), &FunctionLimitArgs::default())?).await
}

pub(super) async fn put(store: &EtcdStore, function: &Metadata) -> Result<String> {
    let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes());
    let id = id.into_uuid().to_string();
    store.put(&id, function).await.map_err(failed)?;
    Ok(id)
}

async fn obey(command: FunctionCommand, target: &FunctionTargetArgs) -> Result<Output> {
    let report = |did, id: String| {
        let change = FunctionChange { did, function_id: id };
        Output::success(if target.json { change.json() } else { change.text() })
    };
    match command {
        FunctionCommand::Create { image, limits, .. } => {
            let function = new_function(image, &limits)?;
            let id = match &target.database_address {
                Some(url) => {
                    let store = HttpStore::new(config::store_url(url)?).map_err(refused)?;
                    store.create(function).await.map_err(refused)?
                }
                None => put(&etcd(target)?, &function).await?,
            };
            Ok(report("created", id))
        }
        FunctionCommand::List { .. } => {
            let list = FunctionList::new(etcd(target)?.list().await.map_err(failed)?);
            Ok(Output::success(if target.json { list.json() } else { list.text() }))
        }
        FunctionCommand::Update { id, image_tag, limits, .. } => {
            let store = etcd(target)?;
            let found = store.get(&id).await.map_err(failed)?;
            let mut function = found.ok_or_else(|| unknown(&id))?;
            change(&mut function, image_tag, &limits)?;
            store.put(&id, &function).await.map_err(failed)?;
            Ok(report("updated", id))
        }
        FunctionCommand::Delete { id, .. } => {
            match etcd(target)?.delete(&id).await.map_err(failed)? {
                true => Ok(report("deleted", id)),
                false => Err(unknown(&id)),
            }
        }
    }
}

fn etcd(target: &FunctionTargetArgs) -> Result<EtcdStore> {
    if target.database_address.is_some() {
        let message = "that registry can only create functions: name the etcd of the worker, or \
                       another one, with --etcd-endpoint instead";
        return Err(Error::unsupported(message).at("--database-address"));
    }
    EtcdStore::new(&config::etcd(&target.etcd, false)?).map_err(failed)
}

pub(super) fn new_function(image: String, limits: &FunctionLimitArgs) -> Result<Metadata> {
    let mut function = Metadata {
        image: Some(Image::default()),
        config: Some(Config {
            memory: 256 << 20,
            cpu: Some(Cpu { period: 100_000, quota: 50_000, ..Cpu::default() }),
            timeout: 30,
            max_concurrency: 500,
            ..Config::default()
        }),
        ..Metadata::default()
    };
    change(&mut function, Some(image), limits)?;
    Ok(function)
}

/// Changes what is given.
fn change(
    function: &mut Metadata,
    image: Option<String>,
    limits: &FunctionLimitArgs,
) -> Result<()> {
    if let Some(image) = image {
        if image.is_empty() {
            return Err(Error::invalid("found an empty image, expected one such as echo:latest"));
        }
        function.image.get_or_insert_default().tag = image;
    }
    let config = function.config.get_or_insert_default();
    let set = |field: &mut i64, given: Option<i64>| *field = given.unwrap_or(*field);
    if limits.cpu_period.is_some() || limits.cpu_quota.is_some() {
        let cpu = config.cpu.get_or_insert_default();
        set(&mut cpu.period, limits.cpu_period);
        set(&mut cpu.quota, limits.cpu_quota);
    }
    let memory = limits.memory.map(|memory| i64::try_from(memory.as_u64()).unwrap_or(i64::MAX));
    if memory == Some(0) {
        let message = "found 0, expected a size such as 256MiB";
        return Err(Error::invalid(message).at("--memory"));
    }
    set(&mut config.memory, memory);
    set(&mut config.max_concurrency, limits.max_concurrency.map(i64::from));
    set(&mut config.timeout, limits.function_timeout.map(whole_seconds).transpose()?);
    Ok(())
}

fn whole_seconds(timeout: Duration) -> Result<i64> {
    let seconds = i32::try_from(timeout.as_secs()).ok().filter(|seconds| *seconds > 0);
    match seconds {
        Some(seconds) if timeout.subsec_nanos() == 0 => Ok(seconds.into()),
        _ => {
            let message = format!("found {timeout:?}, expected whole seconds, at least one");
            Err(Error::invalid(message).at("--function-timeout"))
        }
    }
}

fn unknown(id: &str) -> Error {
    Error::not_found(format!("there is no function with the id '{}'", id.escape_debug()))
}

pub(super) fn failed(error: StoreError) -> Error {
    Error::unavailable("cannot use etcd").with_source(error).at("--etcd-endpoint")
}

pub(super) fn refused(error: StoreError) -> Error {
    Error::unavailable("cannot register the function").with_source(error).at("--database-address")
}
