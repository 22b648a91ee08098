//! Where workers serve: names are looked up, and a fleet has an address for each worker.

use std::net::{SocketAddr, ToSocketAddrs};

use hyperfake_predictor::{Error, Result};
use ipnet::IpNet;

/// The most workers in one process: as many as there are ports.
pub const MAX_WORKERS: u32 = 65_536;

/// Addresses as they were asked for.
#[derive(Debug, Clone)]
pub struct Listen {
    /// `host:port` of the first worker, or `:port` for every address of this machine.
    pub address: String,
    /// How many workers there are; without it, one, or one for each address of the range.
    pub workers: Option<u32>,
    /// Workers have the addresses of this range and one port, instead of consecutive ports.
    pub range: Option<IpNet>,
}

impl Listen {
    /// An address for each worker. `first` is what [`Listen::address`] stands for.
    ///
    /// # Errors
    ///
    /// When there are not as many addresses or ports as workers, or more than there may be workers.
    pub fn addresses(&self, first: SocketAddr) -> Result<Vec<SocketAddr>> {
        match self.range {
            Some(range) => within(range, first.port(), self.workers),
            None => consecutive(first, self.workers.unwrap_or(1)),
        }
    }
}

/// `host:port`, or `:port` for every address of this machine.
///
/// # Errors
///
/// When it is something else, or the name is not known.
pub fn look_up(text: &str) -> Result<SocketAddr> {
    let invalid = || Error::invalid(format!("found '{text}', expected HOST:PORT"));
    let full = if text.starts_with(':') { format!("[::]{text}") } else { text.to_owned() };
    let mut found = full.to_socket_addrs().map_err(|error| invalid().with_source(error))?;
    found.next().ok_or_else(invalid)
}

fn consecutive(first: SocketAddr, workers: u32) -> Result<Vec<SocketAddr>> {
    let ports = match first.port() {
        // The system chooses a port for each.
        0 => 0..=0,
        port => port..=u16::MAX,
    };
    if first.port() > 0 && ports.len() < workers as usize {
        return Err(Error::invalid(format!(
            "found {workers} workers, but only {} ports from {} on; choose a lower port, or a range \
             of addresses",
            ports.len(),
            first.port()
        )));
    }
    let ports = ports.cycle().take(workers as usize);
    Ok(ports.map(|port| SocketAddr::new(first.ip(), port)).collect())
}

fn within(range: IpNet, port: u16, workers: Option<u32>) -> Result<Vec<SocketAddr>> {
    let most = workers.unwrap_or(MAX_WORKERS + 1) as usize;
    let hosts = range.hosts().take(most).map(|host| SocketAddr::new(host, port));
    let addresses: Vec<_> = hosts.collect();
    match workers {
        None if addresses.len() > MAX_WORKERS as usize => Err(Error::invalid(format!(
            "found {range}, which has more than {MAX_WORKERS} addresses; say how many workers there are"
        ))),
        Some(workers) if addresses.len() < workers as usize => Err(Error::invalid(format!(
            "found {range}, which has {} addresses, expected one for each of {workers} workers",
            addresses.len()
        ))),
        _ => Ok(addresses),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(first: &str, workers: Option<u32>, range: Option<&str>) -> Result<String> {
        let range = range.map(|range| range.parse().unwrap());
        let listen = Listen { address: first.to_owned(), workers, range };
        let addresses = listen.addresses(look_up(first)?)?;
        Ok(addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_fleet_has_consecutive_ports_or_the_addresses_of_a_range() {
        for (first, workers, range, expected) in [
            ("127.0.0.1:7", None, None, "127.0.0.1:7"),
            (":7", None, None, "[::]:7"),
            ("127.0.0.1:7", Some(3), None, "127.0.0.1:7 127.0.0.1:8 127.0.0.1:9"),
            ("[::1]:0", Some(2), None, "[::1]:0 [::1]:0"),
            (":65534", Some(2), None, "[::]:65534 [::]:65535"),
            (":7", None, Some("127.1.0.0/30"), "127.1.0.1:7 127.1.0.2:7"),
            (":7", Some(1), Some("127.1.0.0/22"), "127.1.0.1:7"),
            (":7", Some(2), Some("fd00::/64"), "[fd00::]:7 [fd00::1]:7"),
        ] {
            assert_eq!(addresses(first, workers, range).unwrap(), expected);
        }
        for (first, workers, range, expected) in [
            (":65534", Some(3), None, "found 3 workers, but only 2 ports from 65534 on"),
            (":7", Some(3), Some("127.1.0.0/30"), "has 2 addresses, expected one for each of 3"),
            (":7", None, Some("10.0.0.0/8"), "found 10.0.0.0/8, which has more than 65536"),
            ("nowhere", None, None, "found 'nowhere', expected HOST:PORT"),
        ] {
            let error = addresses(first, workers, range).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
