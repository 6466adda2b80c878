//! Talks with many devices at once, each for itself: one that is slow or hostile takes nobody else's time.

use std::{
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    device::Device, discovery::Found, fault::DeviceFault, http::HttpClient, probe_message::Scopes, service::Service,
    session::Credentials,
};

/// The most devices that are asked.
pub const MOST_DEVICES: usize = 512;
/// How many at once.
const AT_ONCE: usize = 16;
/// How long a device may take before it is asked nothing more.
const DEVICE: Duration = Duration::from_secs(30);
/// The same for all together.
const ALL: Duration = Duration::from_secs(180);

/// A device to talk with.
#[derive(Debug, Clone)]
pub struct Target {
    host: IpAddr,
    service: Option<Service>,
    endpoint: Option<String>,
    scopes: Scopes,
}

impl Target {
    /// The device at a host, at the port that is given, or the usual one. It is asked directly, over TCP, at the path that every device has:
    /// this passes routers and port forwarding, needs no answer over UDP, and devices need not hear a Probe that is sent to them alone.
    pub fn at_host(tls: bool, host: IpAddr, port: Option<u16>) -> Self {
        let service = Some(Service::at_host(tls, host, port));
        Self { host, service, endpoint: None, scopes: Scopes::default() }
    }
}

impl From<Found> for Target {
    fn from(found: Found) -> Self {
        let Found { answered, said } = found;
        let service = Service::announced(said.addresses.iter().map(String::as_str), answered);
        Self { host: answered, service, endpoint: Some(said.endpoint), scopes: said.scopes }
    }
}

/// Talks with each of these devices, [`MOST_DEVICES`] at the most. With `insecure`, certificates are not looked at. They are in the order of
/// their addresses.
pub fn survey(targets: &[Target], credentials: Option<&Credentials>, insecure: bool) -> Vec<Device> {
    let targets = targets.get(..MOST_DEVICES).unwrap_or(targets);
    let client = HttpClient::new(insecure);
    let end = Instant::now() + ALL;
    let next = AtomicUsize::new(0);
    let devices: Vec<_> = targets.iter().map(|target| Mutex::new(target.unasked())).collect();
    thread::scope(|scope| {
        let work = || {
            while let Some((target, device)) = {
                let index = next.fetch_add(1, Ordering::Relaxed);
                targets.get(index).zip(devices.get(index))
            } {
                let asked = target.ask(&client, credentials, end.min(Instant::now() + DEVICE));
                *device.lock().unwrap_or_else(PoisonError::into_inner) = asked;
            }
        };
        let workers: Vec<_> = (0..AT_ONCE.min(targets.len())).map(|_| scope.spawn(work)).collect();
        // A library that panicked has said so, and left a device that says that it was not asked.
        workers.into_iter().for_each(|worker| drop(worker.join()));
    });
    let mut devices: Vec<_> =
        devices.into_iter().map(|device| device.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
    devices.sort_by(|a, b| (a.host, &a.service, &a.endpoint).cmp(&(b.host, &b.service, &b.endpoint)));
    devices
}

impl Target {
    fn unasked(&self) -> Device {
        let mut device = Device::unasked(self.host, self.service.as_ref(), self.endpoint.as_deref(), &self.scopes);
        device.fault =
            Some(DeviceFault::Internal { what: "the conversation ended with a fault of its own".to_owned() });
        device
    }

    fn ask(&self, client: &HttpClient, credentials: Option<&Credentials>, end: Instant) -> Device {
        let mut device = self.unasked();
        match &self.service {
            Some(service) => device.interview(service, client, credentials, end),
            None => device.fault = Some(DeviceFault::NoAddress),
        }
        device
    }
}
