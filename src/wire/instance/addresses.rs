//! Which instance has which address.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, OnceLock, Weak},
};

use hyperfake_predictor::{Error, Result};
use parking_lot::RwLock;
use tokio::sync::mpsc;

use super::listen::{DEFAULT_PORTS, Listen, Range};
use crate::{
    wire::transport::sockets::{self, Bound},
    worker::{Addresses, Instance, InstanceId, Worker},
};

/// The addresses of the instances of all workers of a process.
///
/// An address is a number here, so that an instance and this table need little for it. Numbers are
/// given out in turn, so that one is used again only after all others; a process begins somewhere,
/// so that clients of an earlier one do not meet other instances at the addresses that they know.
#[derive(Debug)]
pub struct InstanceAddresses {
    places: Places,
    /// Looked at once for each connection, and changed with each instance.
    taken: RwLock<Taken>,
    workers: OnceLock<Vec<Weak<Worker>>>,
}

/// How numbers become addresses.
#[derive(Debug)]
enum Places {
    /// The addresses from this one on, at one port.
    Hosts { first: u32, count: u32, port: u16 },
    /// The ports from this one on. A port that was opened once stays open: it must not refuse
    /// connections when its instance is gone.
    Ports {
        host: String,
        bind: IpAddr,
        first: u16,
        count: u32,
        sockets: mpsc::UnboundedSender<Bound>,
    },
}

#[derive(Debug)]
struct Taken {
    next: u32,
    instances: HashMap<u32, Resident, foldhash::fast::RandomState>,
    /// Ports that serve, and those that are another program's.
    ports: HashMap<u16, bool, foldhash::fast::RandomState>,
}

/// Who has an address.
#[derive(Debug, Clone, Copy)]
struct Resident {
    worker: u32,
    instance: InstanceId,
}

/// Addresses, and the sockets that serve them as they come.
#[derive(Debug)]
pub struct Opened {
    /// The addresses.
    pub addresses: Arc<InstanceAddresses>,
    /// Sockets that listen.
    pub(crate) sockets: mpsc::UnboundedReceiver<Bound>,
}

impl InstanceAddresses {
    /// Opens addresses as they were asked for. `workers` is where the workers serve.
    ///
    /// # Errors
    ///
    /// When what was asked for cannot be had; the error names the flag.
    pub fn open(listen: &Listen, workers: &[SocketAddr]) -> Result<Opened> {
        let (sender, sockets) = mpsc::unbounded_channel();
        let places = if listen.ports.is_some() || listen.advertise.is_some() {
            Places::ports(listen, workers, sender)
        } else if let Some(range) = listen.range {
            Places::hosts(range, workers, &sender).map_err(|error| {
                let message = format!("cannot serve instances on {}", range.net);
                Error::unavailable(message).with_source(error).at("--instance-addresses")
            })?
        } else {
            let range = Range::DEFAULT.parse::<Range>().map_err(Error::internal)?;
            match Places::hosts(range, workers, &sender) {
                Ok(places) => places,
                Err(error) => {
                    let (first, last) = DEFAULT_PORTS.into_inner();
                    tracing::warn!(
                        %error,
                        "instances cannot have addresses of {}; each has a port of 127.0.0.1 \
                         instead, from {first} to {last}",
                        range.net
                    );
                    Places::ports(listen, workers, sender)
                }
            }
        };
        let next = fastrand::u32(..places.count());
        let taken = Taken { next, instances: HashMap::default(), ports: HashMap::default() };
        let (taken, workers) = (RwLock::new(taken), OnceLock::new());
        Ok(Opened { addresses: Arc::new(Self { places, taken, workers }), sockets })
    }

    /// What the worker of this number gives its instances.
    pub fn of_worker(self: &Arc<Self>, number: usize) -> Arc<dyn Addresses> {
        Arc::new(OfWorker { all: Arc::clone(self), worker: number as u32 })
    }

    /// These are the workers, by their numbers.
    pub(crate) fn serve(&self, workers: impl Iterator<Item = Weak<Worker>>) {
        let _ = self.workers.set(workers.collect());
    }

    /// The address of this number, as `HOST:PORT`.
    pub(crate) fn text(&self, number: u32) -> String {
        match &self.places {
            Places::Hosts { first, port, .. } => {
                SocketAddr::from((Ipv4Addr::from(first + number), *port)).to_string()
            }
            Places::Ports { host, first, .. } => format!("{host}:{}", u32::from(*first) + number),
        }
    }

    /// What serves at an address.
    pub(crate) fn find(&self, address: SocketAddr) -> Option<(Arc<Worker>, Arc<Instance>)> {
        let number = match (&self.places, address.ip().to_canonical()) {
            (Places::Hosts { first, .. }, IpAddr::V4(host)) => {
                u32::from(host).checked_sub(*first)?
            }
            (Places::Hosts { .. }, IpAddr::V6(_)) => return None,
            (Places::Ports { first, .. }, _) => address.port().checked_sub(*first)?.into(),
        };
        let resident = *self.taken.read().instances.get(&number)?;
        let worker = self.workers.get()?.get(resident.worker as usize)?.upgrade()?;
        let instance = worker.instance(resident.instance)?;
        Some((worker, instance))
    }

    /// Such as `127.64.0.1:50052 to 127.127.255.254:50052`.
    #[must_use]
    pub fn summary(&self) -> String {
        let last = self.places.count() - 1;
        format!("{} to {}", self.text(0), self.text(last))
    }
}

impl Places {
    fn hosts(
        range: Range,
        workers: &[SocketAddr],
        sockets: &mpsc::UnboundedSender<Bound>,
    ) -> io::Result<Self> {
        let first = u32::from(range.net.network()) + 1;
        let (socket, port) = match range.port {
            Some(port) => (listen_on_loopback(port)?, port),
            None => first_free(workers)?,
        };
        let _ = sockets.send(socket);
        Ok(Self::Hosts { first, count: range.len(), port })
    }

    fn ports(
        listen: &Listen,
        workers: &[SocketAddr],
        sockets: mpsc::UnboundedSender<Bound>,
    ) -> Self {
        let (first, last) = listen.ports.clone().unwrap_or(DEFAULT_PORTS).into_inner();
        let (host, bind) = match &listen.advertise {
            // A client that reaches the worker reaches its instances.
            Some(host) => (host.clone(), workers.first().map(SocketAddr::ip)),
            None => (Ipv4Addr::LOCALHOST.to_string(), None),
        };
        let bind = bind.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let count = u32::from(last - first) + 1;
        Self::Ports { host, bind, first, count, sockets }
    }

    fn count(&self) -> u32 {
        match self {
            Self::Hosts { count, .. } | Self::Ports { count, .. } => *count,
        }
    }

    fn flag(&self) -> &'static str {
        match self {
            Self::Hosts { .. } => "--instance-addresses",
            Self::Ports { .. } => "--instance-ports",
        }
    }

    /// Whether connections to this address arrive here.
    fn can_serve(
        &self,
        number: u32,
        known: &mut HashMap<u16, bool, foldhash::fast::RandomState>,
    ) -> bool {
        let Self::Ports { bind, first, sockets, .. } = self else { return true };
        let Ok(port) = u16::try_from(u32::from(*first) + number) else { return false };
        *known.entry(port).or_insert_with(|| {
            let socket = sockets::bind((*bind, port).into())
                .and_then(|socket| socket.accept_connections().map(|()| socket));
            match socket {
                Ok(socket) => sockets.send(socket).is_ok(),
                Err(error) => {
                    tracing::warn!(%error, port, "an instance cannot have this port");
                    false
                }
            }
        })
    }
}

/// A socket for every address of the loopback network, which nothing outside of it reaches.
fn listen_on_loopback(port: u16) -> io::Result<Bound> {
    let socket = sockets::bind_to_loopback(port)?;
    socket.accept_connections()?;
    Ok(socket)
}

/// The first port that is free, and a socket for it.
fn first_free(workers: &[SocketAddr]) -> io::Result<(Bound, u16)> {
    /// Where a leaf of the platform listens by convention.
    const LEAF: u16 = 50053;
    let mut ports = Range::FIRST_PORT..=u16::MAX;
    loop {
        let Some(port) = ports.next() else { return Err(io::ErrorKind::AddrInUse.into()) };
        // The workers' own sockets do not listen yet.
        if port == LEAF || workers.iter().any(|worker| worker.port() == port) {
            continue;
        }
        match listen_on_loopback(port) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return Ok((bound?, port)),
        }
    }
}

/// The addresses that one worker gives its instances.
#[derive(Debug)]
struct OfWorker {
    all: Arc<InstanceAddresses>,
    worker: u32,
}

impl Addresses for OfWorker {
    fn assign(&self, instance: InstanceId) -> Result<u32> {
        let places = &self.all.places;
        let mut taken = self.all.taken.write();
        let Taken { next, instances, ports } = &mut *taken;
        for _ in 0..places.count() {
            let number = *next;
            *next = (number + 1) % places.count();
            if !instances.contains_key(&number) && places.can_serve(number, ports) {
                instances.insert(number, Resident { worker: self.worker, instance });
                return Ok(number);
            }
        }
        let (flag, count) = (places.flag(), places.count());
        let message = format!("all {count} addresses for instances are taken");
        Err(Error::exhausted(message).at(flag))
    }

    fn release(&self, number: u32) {
        self.all.taken.write().instances.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> InstanceId {
        InstanceId::from_bits(number << 16)
    }

    fn ports_from(first: u16, last: u16) -> Listen {
        Listen { range: None, ports: Some(first..=last), advertise: None }
    }

    #[tokio::test]
    #[cfg(target_os = "linux")] // where all of 127.0.0.0/8 is this machine
    async fn an_address_is_given_again_only_after_all_others() {
        let listen =
            Listen { range: Some("127.77.0.0/28".parse().unwrap()), ports: None, advertise: None };
        let Opened { addresses, .. } = InstanceAddresses::open(&listen, &[]).unwrap();
        let given = addresses.of_worker(0);
        let first: Vec<_> = (0..14).map(|number| given.assign(id(number)).unwrap()).collect();
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..14).collect::<Vec<_>>());
        let error = given.assign(id(14)).unwrap_err().to_string();
        assert_eq!(error, "--instance-addresses: all 14 addresses for instances are taken");
        given.release(first[3]);
        given.release(first[7]);
        assert_eq!(given.assign(id(15)).unwrap(), first[3]);
        assert_eq!(given.assign(id(16)).unwrap(), first[7]);
        given.release(first[0]);
        given.release(first[13]);
        // The turn goes on behind the last one.
        assert_eq!(given.assign(id(17)).unwrap(), first[13]);
        let text = addresses.text(0);
        assert!(text.starts_with("127.77.0.1:"), "{text}");
    }

    #[tokio::test]
    async fn a_port_of_another_program_is_passed_over() {
        // Below those that the system gives to the other tests.
        let bind = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port));
        let two_free =
            |port: u16| Some((bind(port).ok()?, bind(port + 1).ok()?.local_addr().ok()?));
        let (other, free) = (20_000..32_000).step_by(2).find_map(two_free).unwrap();
        let port = other.local_addr().unwrap().port();
        assert_eq!(free.port(), port + 1);
        let listen = ports_from(port, port + 1);
        let Opened { addresses, mut sockets } = InstanceAddresses::open(&listen, &[]).unwrap();
        let given = addresses.of_worker(0);
        let number = given.assign(id(1)).unwrap();
        assert_eq!(addresses.text(number), format!("127.0.0.1:{}", port + 1));
        // It listens at once, and stays open.
        std::net::TcpStream::connect(("127.0.0.1", port + 1)).unwrap();
        assert!(given.assign(id(2)).is_err());
        given.release(number);
        assert_eq!(given.assign(id(3)).unwrap(), number);
        let socket = sockets.try_recv().unwrap();
        assert_eq!(socket.address().unwrap().port(), port + 1);
        assert!(sockets.try_recv().is_err(), "the port was opened twice");
    }
}
