//! WS-Discovery: who is there, asked by multicast on the local network (April 2005, section 5; SOAP-over-UDP, September 2004).

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use openssl::rand::rand_bytes;
use rustix::net::sockopt::set_ip_multicast_if;
use serde::Serialize;

use super::{
    interfaces::Interface,
    probe_message::{DeviceType, ProbeMatch, ProbeMessage, matches},
};

/// Where everybody listens (WS-Discovery, section 2.4).
pub const GROUP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 255, 255, 250)), 3702);

/// Repeats of a multicast message, and the time before the first: between the two; it is doubled each time, up to the last (SOAP-over-UDP,
/// Appendix I: MULTICAST_UDP_REPEAT, UDP_MIN_DELAY, UDP_MAX_DELAY, UDP_UPPER_DELAY).
const REPEATS: u32 = 4;
const LEAST_DELAY: Duration = Duration::from_millis(50);
const MOST_DELAY: Duration = Duration::from_millis(250);
const UPPER_DELAY: Duration = Duration::from_millis(500);

/// The most datagrams that are read on one interface.
const MOST_DATAGRAMS: usize = 4096;
/// The most devices that are kept.
const MOST_FOUND: usize = 256;
/// The most of them on one host: one that makes up many takes no place from others.
const MOST_OF_HOST: usize = 16;
/// The largest datagram there is: one that was cut off could not be told from a whole one otherwise.
const LARGEST: usize = 65_536;

/// A device that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The host that sent the answer.
    pub answered: IpAddr,
    /// What it said.
    pub said: ProbeMatch,
}

/// An interface that was asked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Which.
    #[serde(flatten)]
    pub interface: Interface,
    /// Why it could not be.
    pub fault: Option<String>,
    /// Datagrams that came, and were no answers to our questions.
    pub strange: usize,
}

/// Asks on each of these interfaces, all at once, and listens for `span`. A device that answers several times, or on several interfaces, is
/// there once: one endpoint reference from one host. Cheap cameras share their references, so another host is another device.
pub fn discover(interfaces: &[Interface], span: Duration) -> (Vec<Asked>, Vec<Found>) {
    let heard: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = interfaces.iter().map(|one| (one, scope.spawn(move || ask(one, span)))).collect();
        let ended = |interface: &Interface, fault: String| Asked {
            interface: interface.clone(),
            fault: Some(fault),
            strange: 0,
        };
        threads
            .into_iter()
            .map(|(interface, thread)| match thread.join() {
                Ok(Ok((found, strange))) => (Asked { interface: interface.clone(), fault: None, strange }, found),
                Ok(Err(error)) => (ended(interface, error.to_string()), Vec::new()),
                Err(_) => (ended(interface, "the search ended with a fault of its own".to_owned()), Vec::new()),
            })
            .collect()
    });
    let (asked, found): (Vec<_>, Vec<_>) = heard.into_iter().unzip();
    let mut devices = Vec::new();
    found.into_iter().flatten().for_each(|one| add(&mut devices, one));
    (asked, devices)
}

fn ask(interface: &Interface, span: Duration) -> io::Result<(Vec<Found>, usize)> {
    let socket = UdpSocket::bind((interface.address, 0))?;
    set_ip_multicast_if(&socket, &interface.address)?;
    let messages = DeviceType::ALL.map(ProbeMessage::new);
    let began = Instant::now();
    let end = began + span;
    let mut due = schedule(random()?).map(|after| began + after).into_iter().filter(|at| *at < end).peekable();
    let (mut found, mut received, mut strange) = (Vec::new(), 0, 0);
    let mut datagram = vec![0; LARGEST];
    while received < MOST_DATAGRAMS {
        while due.next_if(|at| *at <= Instant::now()).is_some() {
            messages.iter().try_for_each(|message| socket.send_to(message.text.as_bytes(), GROUP).map(drop))?;
        }
        let next = due.peek().copied().unwrap_or(end);
        let left = next.saturating_duration_since(Instant::now());
        if left.is_zero() && next == end {
            break;
        }
        // Zero would mean for ever.
        socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let (length, from) = match socket.recv_from(&mut datagram) {
            Ok(came) => came,
            Err(error) if is_passing(&error) => continue,
            Err(error) => return Err(error),
        };
        received += 1;
        match matches(datagram.get(..length).unwrap_or_default(), &messages) {
            Some(said) => said.into_iter().for_each(|said| add(&mut found, Found { answered: from.ip(), said })),
            None => strange += 1,
        }
    }
    Ok((found, strange))
}

/// Nothing came in time, or a host says that it has no such port: others may answer still.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted | ErrorKind::ConnectionRefused
    )
}

fn add(found: &mut Vec<Found>, one: Found) {
    let of_host = || found.iter().filter(|known| known.answered == one.answered);
    let is_known = of_host().any(|known| known.said.endpoint == one.said.endpoint);
    if !is_known && of_host().count() < MOST_OF_HOST && found.len() < MOST_FOUND {
        found.push(one);
    }
}

/// When a message is sent, counted from the first time, by a number that nobody else has.
fn schedule(random: u8) -> [Duration; 1 + REPEATS as usize] {
    let mut delay = LEAST_DELAY + (MOST_DELAY - LEAST_DELAY) * u32::from(random) / u32::from(u8::MAX);
    let mut at = Duration::ZERO;
    std::array::from_fn(|index| {
        if index > 0 {
            at += delay;
            delay = (delay * 2).min(UPPER_DELAY);
        }
        at
    })
}

fn random() -> io::Result<u8> {
    let mut byte = [0];
    rand_bytes(&mut byte).map_err(io::Error::other)?;
    let [byte] = byte;
    Ok(byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::onvif::probe_message::Scopes;

    #[test]
    fn repeats_come_ever_more_slowly() {
        let millis = |random| schedule(random).map(|at| at.as_millis());
        assert_eq!(millis(0), [0, 50, 150, 350, 750]);
        assert_eq!(millis(255), [0, 250, 750, 1250, 1750]);
    }

    #[test]
    fn a_device_is_there_once_and_there_are_not_too_many() {
        let from = |host: [u8; 4], endpoint: &str| Found {
            answered: IpAddr::from(host),
            said: ProbeMatch { endpoint: endpoint.to_owned(), addresses: Vec::new(), scopes: Scopes::default() },
        };
        let mut found = Vec::new();
        for one in
            [from([10, 0, 0, 1], "a"), from([10, 0, 0, 1], "a"), from([10, 0, 0, 2], "a"), from([10, 0, 0, 1], "b")]
        {
            add(&mut found, one);
        }
        assert_eq!(found.len(), 3);
        (0..100).for_each(|n| add(&mut found, from([10, 0, 0, 1], &n.to_string())));
        assert_eq!(found.len(), MOST_OF_HOST + 1);
        (0..=255).for_each(|host| add(&mut found, from([10, 0, 1, host], "a")));
        assert_eq!(found.len(), MOST_FOUND);
    }

    #[test]
    fn an_interface_that_cannot_be_asked_on_is_named() {
        // An address of documentation (RFC 5737), which no interface here has.
        let missing = Interface { name: "eth9".into(), address: Ipv4Addr::new(192, 0, 2, 77), is_for_multicast: true };
        let (asked, found) = discover(&[missing], Duration::from_millis(1));
        assert!(asked[0].fault.is_some() && found.is_empty(), "{asked:?}");
    }
}
