//! The IPv4 interfaces of this machine, and which of them multicast goes out on.

use std::{io, net::Ipv4Addr};

use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};
use serde::Serialize;

/// An address of a network interface that is up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Interface {
    /// The system's name of it.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Whether it is meant for multicast: the loopback is not, though it can.
    #[serde(skip)]
    pub is_for_multicast: bool,
}

/// The interfaces that are up, in the order of their names.
///
/// # Errors
/// The system does not tell.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let mut found: Vec<_> = getifaddrs()?
        .filter(|one| one.flags.contains(InterfaceFlags::IFF_UP))
        .filter_map(|one| {
            let is_for_multicast =
                one.flags.contains(InterfaceFlags::IFF_MULTICAST) && !one.flags.contains(InterfaceFlags::IFF_LOOPBACK);
            let address = one.address.as_ref()?.as_sockaddr_in()?.ip();
            Some(Interface { name: one.interface_name, address, is_for_multicast })
        })
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_there_and_not_for_multicast() {
        let all = interfaces().unwrap();
        let loopback = all.iter().find(|one| one.address == Ipv4Addr::LOCALHOST).unwrap();
        assert!(!loopback.is_for_multicast && !loopback.name.is_empty(), "{all:?}");
    }
}
