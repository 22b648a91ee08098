//! Where functions are.

use clap::ValueEnum;
use hyperfake_predictor::{Error, Result};
use url::Url;

use crate::{
    args::{DatabaseType, EtcdArgs, ServerArgs},
    functions::{
        EtcdListen, Places, StoreKind,
        etcd::{self, EtcdConfig},
    },
    tls::ClientFiles,
};

/// Where functions may be, and what is served.
pub(super) fn places(args: &ServerArgs) -> Result<Places> {
    let url = args.database_address.as_deref().unwrap_or(match args.containerized {
        true => "http://database:8999",
        false => "http://localhost:8999",
    });
    let (kind, etcd_is_given) =
        (store_kind(args.database_type), !args.etcd.etcd_endpoints.is_empty());
    let useless = |flag: &str| {
        let kind = args.database_type.to_possible_value();
        let kind = kind.as_ref().map_or("this", |kind| kind.get_name());
        Err(Error::invalid(format!("it has no use with --database-type {kind}")).at(flag))
    };
    let etcd_listen = match args.etcd_listen.as_str() {
        "auto" => EtcdListen::IfNone("127.0.0.1:2379".into()),
        "off" => EtcdListen::Off,
        address => {
            let parts = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if parts.is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
                let message = format!("found '{address}', expected HOST:PORT, auto or off");
                return Err(Error::invalid(message).at("--etcd-listen"));
            }
            EtcdListen::At(address.to_owned())
        }
    };
    let serves_etcd = matches!(etcd_listen, EtcdListen::At(_));
    match kind {
        StoreKind::Embedded | StoreKind::Http if etcd_is_given => {
            return useless("--etcd-endpoint");
        }
        StoreKind::Http | StoreKind::Etcd if args.functions_file.is_some() && !serves_etcd => {
            return useless("--functions-file");
        }
        _ => {}
    }
    Ok(Places {
        kind,
        url: store_url(url)?,
        tls: ClientFiles {
            ca: args.tls.tls_ca.clone(),
            identity: args.tls.tls_cert.clone().zip(args.tls.tls_key.clone()),
            server_name: None,
        },
        etcd: etcd(&args.etcd, args.containerized)?,
        etcd_is_given,
        etcd_listen,
        file: args.functions_file.clone(),
    })
}

/// How etcd is asked.
///
/// # Errors
///
/// When an endpoint or the prefix is not valid; the error names the flag.
pub fn etcd(args: &EtcdArgs, containerized: bool) -> Result<EtcdConfig> {
    let mut endpoints = args.etcd_endpoints.clone();
    if endpoints.is_empty() {
        endpoints = vec![if containerized { "etcd:2379" } else { "localhost:2379" }.into()];
    }
    for text in &endpoints {
        etcd::endpoint(text).map_err(|reason| Error::invalid(reason).at("--etcd-endpoint"))?;
    }
    let prefix = args.metadata_prefix.trim();
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    if prefix.is_empty() || prefix.len() > LONGEST_PREFIX {
        let found = &args.metadata_prefix;
        let message = format!(
            "found '{found}', expected a key of 1 to {LONGEST_PREFIX} bytes such as \
             hyperfaas/functions"
        );
        return Err(Error::invalid(message).at("--metadata-prefix"));
    }
    if args.metadata_dial_timeout.is_zero() {
        let message = "found 0, expected a duration such as 5s";
        return Err(Error::invalid(message).at("--metadata-dial-timeout"));
    }
    let timeout = args.metadata_dial_timeout;
    Ok(EtcdConfig { endpoints, prefix: prefix.into(), timeout })
}

/// The longest prefix of functions in etcd, in bytes: an id has to fit behind it.
const LONGEST_PREFIX: usize = 512;

/// The address of a function store.
///
/// # Errors
///
/// When it is not an `http://` or `https://` URL with a host.
pub fn store_url(text: &str) -> Result<Url> {
    let invalid = |reason: String| {
        let message =
            format!("found '{text}', expected a URL such as http://localhost:8999{reason}");
        Error::invalid(message).at("--database-address")
    };
    let url: Url = text.parse().map_err(|error| invalid(format!(": {error}")))?;
    match (url.scheme(), url.host_str()) {
        ("http" | "https", Some(_)) => Ok(url),
        ("http" | "https", None) => Err(invalid(" with a host".into())),
        (other, _) => Err(invalid(format!(": unsupported scheme '{other}'"))),
    }
}

fn store_kind(kind: DatabaseType) -> StoreKind {
    match kind {
        DatabaseType::Auto => StoreKind::Auto,
        DatabaseType::Embedded => StoreKind::Embedded,
        DatabaseType::Http => StoreKind::Http,
        DatabaseType::Etcd => StoreKind::Etcd,
    }
}
