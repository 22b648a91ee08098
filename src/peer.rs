//! Which clients are one peer, for limits.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The peer that has this address. An IPv6 client has a network of 64 bits to itself, and all of it
/// is one peer.
#[must_use]
pub fn peer(address: SocketAddr) -> IpAddr {
    match address.ip().to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_an_ipv4_address_or_an_ipv6_network() {
        let peer = |text: &str| peer(text.parse().unwrap()).to_string();
        assert_eq!(peer("10.1.2.3:4"), "10.1.2.3");
        assert_eq!(peer("[::ffff:10.1.2.3]:4"), "10.1.2.3");
        assert_eq!(peer("[2001:db8:1:2:3:4:5:6]:7"), "2001:db8:1:2::");
    }
}
