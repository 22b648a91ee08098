use std::{net::SocketAddr, time::Duration};

use super::{ModelList, format};
use crate::{functions::Place, tls::ServerFiles};

/// What `hyperfake server` shows when it serves.
#[derive(Debug)]
pub(crate) struct ServerSummary<'a> {
    pub(crate) models: ModelList,
    pub(crate) addresses: &'a [SocketAddr],
    pub(crate) stagger: Duration,
    pub(crate) threads: usize,
    pub(crate) cpus: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) container_runtime: String,
    /// The cold start of an instance whose model does not say.
    pub(crate) cold_start: Duration,
    /// The scenario, if one was chosen.
    pub(crate) scenario: Option<String>,
    /// The factor for all times, if there is one.
    pub(crate) time_scale: Option<String>,
    /// The registry of functions that speaks HTTP.
    pub(crate) registry: Option<&'a Place>,
    /// Whether a store of functions is here for other machines, in plain text.
    pub(crate) store_is_exposed: bool,
    /// etcd, and below which prefix functions are there.
    pub(crate) etcd: Option<(&'a Place, &'a str)>,
    /// The addresses that instances have.
    pub(crate) instances: String,
    /// Where the page is served, and the port that was wanted if another one was taken.
    pub(crate) page: Option<(SocketAddr, Option<u16>)>,
    /// Whether metrics alone are served there.
    pub(crate) is_metrics_alone: bool,
    /// The files of TLS, if it is served.
    pub(crate) tls: Option<&'a ServerFiles>,
}

impl ServerSummary<'_> {
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{}\n{}, with {}\n{}simulating {} and {}, runtime {}, cold start {}",
            self.models.table(),
            self.serving(),
            format::count(self.threads, "thread"),
            if self.addresses.len() > 1 { "each " } else { "" },
            format::count(self.cpus, "CPU"),
            format::bytes(self.memory_bytes as f64),
            self.container_runtime,
            format::duration(self.cold_start),
        );
        if let Some(scenario) = &self.scenario {
            text += &format!(", scenario {scenario}");
        }
        if let Some(scale) = &self.time_scale {
            text += &format!(", time scale {scale}");
        }
        if let Some((place, prefix)) = self.etcd {
            let role = if place.is_here { "an etcd is served here" } else { "etcd is asked" };
            text += &format!("\n{role}, at {}; functions below {prefix}/", place.address);
        }
        if let Some(place) = self.registry {
            text += match place.is_here {
                true => "\nfunctions are registered here, at ",
                false => "\nfunctions are looked up at ",
            };
            text += &place.address;
        }
        text += &format!("\ninstances that `worker.Worker` starts are at {}", self.instances);
        if let Some((address, wanted)) = self.page {
            let scheme = if self.tls.is_some() { "https" } else { "http" };
            text += &match self.is_metrics_alone {
                true => format!("\nmetrics at {scheme}://{address}/metrics"),
                false => format!("\nwatch it at {scheme}://{address}/"),
            };
            if let Some(port) = wanted {
                text += &format!(", as port {port} is taken");
            }
            if !self.is_metrics_alone {
                text += "; metrics at /metrics";
            }
        }
        if let Some(security) = self.security() {
            text += &format!("\n{security}");
        }
        text
    }

    /// How clients are served, unless it is in plain text on this machine alone.
    fn security(&self) -> Option<String> {
        let mut addresses =
            self.addresses.iter().copied().chain(self.page.map(|(address, _)| address));
        match self.tls {
            Some(files) => {
                let mut text = format!("TLS with the certificate in {}", files.cert.display());
                if let Some(ca) = &files.client_ca {
                    text += &format!(", for clients with a certificate of {}", ca.display());
                }
                if self.store_is_exposed {
                    text += "; others reach functions in plain text: see --database-address and --etcd-listen";
                }
                Some(text)
            }
            None if !self.store_is_exposed
                && addresses.all(|address| address.ip().to_canonical().is_loopback()) =>
            {
                None
            }
            None => Some(
                "in plain text: others on the network can read and change what is sent; for TLS, \
                 see --tls-cert"
                    .to_owned(),
            ),
        }
    }

    /// Such as `serving 3 workers on [::]:50051 to [::]:50053`.
    fn serving(&self) -> String {
        let addresses = match self.addresses {
            [] => return "serving on no address".into(),
            [one] => return format!("serving on {one}"),
            [first, .., last] if follow_a_rule(self.addresses) => format!("{first} to {last}"),
            all => all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        let stagger = match self.stagger {
            Duration::ZERO => String::new(),
            stagger => format!(", one after the other every {}", format::duration(stagger)),
        };
        format!("serving {} workers on {addresses}{stagger}", self.addresses.len())
    }
}

/// Whether the first and the last of the addresses tell the others: ports one after the other, or one
/// port on several hosts.
fn follow_a_rule(addresses: &[SocketAddr]) -> bool {
    let next = |pair: &[SocketAddr], step| pair[0].port().checked_add(step) == Some(pair[1].port());
    addresses.windows(2).all(|pair| next(pair, 1)) || addresses.windows(2).all(|pair| next(pair, 0))
}
