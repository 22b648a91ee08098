//! Where instances are to have their addresses, as it was asked for.

use std::{
    net::{IpAddr, Ipv6Addr},
    ops::RangeInclusive,
    str::FromStr,
};

use ipnet::Ipv4Net;

/// The choice of addresses.
#[derive(Debug, Clone)]
pub struct Listen {
    /// An address of this range for each instance, all at one port.
    pub range: Option<Range>,
    /// A port of these for each instance.
    pub ports: Option<RangeInclusive<u16>>,
    /// The host that stands before those ports, as [`host`] reads it.
    pub advertise: Option<String>,
}

/// Addresses of the loopback network, and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The addresses; the first and the last one are not used.
    pub net: Ipv4Net,
    /// The port; without it, the first free one from [`Range::FIRST_PORT`] on.
    pub port: Option<u16>,
}

impl Range {
    /// Four million addresses, away from those that people type.
    pub const DEFAULT: &str = "127.64.0.0/10";
    /// Where the platform's own containers listen.
    pub const FIRST_PORT: u16 = 50052;

    /// How many instances can have an address.
    #[must_use]
    pub fn len(&self) -> u32 {
        // Of all addresses the first and the last one are left out; a range of one has neither.
        let last = u32::MAX.checked_shr(self.net.prefix_len().into()).unwrap_or(0);
        last.saturating_sub(1)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = |reason| {
            format!(
                "expected a range within 127.0.0.0/8 and perhaps a port, such as {}:{}{reason}",
                Self::DEFAULT,
                Self::FIRST_PORT
            )
        };
        let (net, port) = match text.rsplit_once(':') {
            None => (text, None),
            Some((net, port)) => {
                let port = port.parse().ok().filter(|port| *port > 0);
                (net, Some(port.ok_or_else(|| invalid(": the port is 1 to 65535"))?))
            }
        };
        let net: Ipv4Net = net.parse().map_err(|_| invalid(""))?;
        let range = Self { net: net.trunc(), port };
        if !net.addr().is_loopback() || net.prefix_len() < 8 {
            return Err(invalid(": other addresses are not this machine's alone"));
        }
        if range.is_empty() {
            return Err(invalid(": this one has no address for an instance"));
        }
        Ok(range)
    }
}

/// Reads `FIRST-LAST`.
///
/// # Errors
///
/// When it is something else.
pub fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let read = text.split_once('-').and_then(|(first, last)| Some((port(first)?, port(last)?)));
    match read {
        Some((first, last)) if first <= last => Ok(first..=last),
        _ => Err("expected FIRST-LAST, two ports such as 20000-29999".into()),
    }
}

/// The ports that are used where addresses cannot be: below those that systems give to clients.
pub(super) const DEFAULT_PORTS: RangeInclusive<u16> = 20_000..=29_999;

/// Reads a host, as it stands before a port.
///
/// # Errors
///
/// When it has a port, a scheme or nothing at all.
pub fn host(text: &str) -> Result<String, String> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok(format!("[{text}]"));
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let is_address = bare.unwrap_or(text).parse::<IpAddr>().is_ok();
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if is_address || (!text.is_empty() && text.chars().all(name)) {
        return Ok(text.to_owned());
    }
    Err("expected a name or an address, without a port".into())
}

/// What becomes of the calls that run on an instance when it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStop {
    /// They end as they would have.
    #[default]
    Finish,
    /// Their connections are cut, as by the end of a process.
    Cut,
}

impl FromStr for OnStop {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "finish" => Ok(Self::Finish),
            "cut" => Ok(Self::Cut),
            _ => Err("expected finish or cut".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_within_the_loopback_network() {
        let range: Range = "127.64.0.0/10:50052".parse().unwrap();
        assert_eq!((range.len(), range.port), ((1 << 22) - 2, Some(50052)));
        let range: Range = "127.1.2.3/30".parse().unwrap();
        assert_eq!((range.net.addr().to_string(), range.len()), ("127.1.2.0".into(), 2));
        for (text, expected) in [
            ("10.0.0.0/8", "not this machine's"),
            ("126.0.0.0/7", "not this machine's"),
            ("127.1.2.3/31", "no address"),
            ("127.1.2.3/32", "no address"),
            ("127.1.0.0/16:0", "the port is 1 to 65535"),
            ("127.1.0.0/16:x", "the port is"),
            ("127.1.0.0", "expected a range within 127.0.0.0/8"),
            ("::1/128", "expected"),
            ("", "expected"),
        ] {
            let error = text.parse::<Range>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn ports_are_two_numbers_in_order() {
        assert_eq!(ports("20000-20000"), Ok(20_000..=20_000));
        for text in ["", "1", "2-1", "0-5", "1-65536", "a-b", "-"] {
            assert!(ports(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_has_no_port() {
        for (text, expected) in
            [("worker", "worker"), ("10.0.0.1", "10.0.0.1"), ("::1", "[::1]"), ("[::1]", "[::1]")]
        {
            assert_eq!(host(text).unwrap(), expected);
        }
        for text in ["", "worker:1", "http://worker", "a b", "[::1]:5"] {
            assert!(host(text).is_err(), "{text}");
        }
    }
}
